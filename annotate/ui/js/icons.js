/** The page's icons, drawn for it on a grid of 24. */

/** @type {Record<string, string>} */
const PATHS = {
  list: "M4 6h16M4 12h16M4 18h16",
  pan: "M12 3v18M3 12h18M12 3 9.500 5.500M12 3l2.500 2.500M12 21l-2.500-2.500M12 21l2.500-2.500M3 12l2.500-2.500M3 12l2.500 2.500M21 12l-2.500-2.500M21 12l-2.500 2.500",
  click: "M10 10l9 4-4 1.500L13.500 20zM5 3v4M3 5h4M9.500 3.500 8.500 6M3.500 10.500 6 9.500",
  scribble: "M3 16c3-9 6-11 7-8s-4 9-1 9 5-8 7-7-2 6 0 7 3-1 5-3",
  brush:
    "M20 4c-5 2-9 6-11 9l2 2c3-2 7-6 9-11zM8.500 13.500c-2.500 0-3.500 2-3.500 4 0 1-1 1.500-2 2 3 1 7.500.5 7.500-3.500",
  eraser:
    "M9 20h11M5.500 17.500l-2-2a1.500 1.500 0 0 1 0-2L13 4a1.500 1.500 0 0 1 2 0l5 5a1.500 1.500 0 0 1 0 2l-9 9H8zM9 8l7 7",
  box: "M4 6h16v12H4zM2.500 4.500h3v3h-3zM18.500 4.500h3v3h-3zM2.500 16.500h3v3h-3zM18.500 16.500h3v3h-3z",
  polygon: "M5 9l8-5 7 6-3 9H8zM5 9v0M13 4v0M20 10v0M17 19v0M8 19v0",
  window: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 3v18M12 7h5M12 11h8M12 15h7.500",
  undo: "M8 5 4 9l4 4M4 9h10a6 6 0 0 1 0 12h-4",
  redo: "M16 5l4 4-4 4M20 9H10a6 6 0 0 0 0 12h4",
  holes: "M12 3c5 0 9 4 9 9s-4 9-9 9-9-4-9-9 4-9 9-9zM12 9c2 0 3 1 3 3s-1 3-3 3-3-1-3-3 1-3 3-3z",
  smooth: "M3 15c3 0 3-6 6-6s3 6 6 6 3-6 6-6",
  largest: "M9 6c4 0 7 3 7 7s-3 6-7 6-6-3-6-6 2-7 6-7zM19 5v0M20.500 10v0M17 3.500v0",
  outline:
    "M5 9l8-5 7 6-3 9H8zM3.500 7.500h3v3h-3zM11.500 2.500h3v3h-3zM18.500 8.500h3v3h-3zM15.500 17.500h3v3h-3zM6.500 17.500h3v3h-3z",
  model:
    "M12 4v3M12 17v3M4 12h3M17 12h3M6.500 6.500l2 2M15.500 15.500l2 2M17.500 6.500l-2 2M8.500 15.500l-2 2M12 9.500a2.500 2.500 0 1 0 0 5 2.500 2.500 0 0 0 0-5z",
  release: "M7 11V7a5 5 0 0 1 9.500-2M5 11h14v9H5zM12 15v2",
  clear: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10.500 11v5M13.500 11v5",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  eye: "M2.500 12s3.500-6.500 9.500-6.500 9.500 6.500 9.500 6.500-3.500 6.500-9.500 6.500S2.500 12 2.500 12zM12 9.500a2.500 2.500 0 1 0 0 5 2.500 2.500 0 0 0 0-5z",
  help: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9.500 9.500a2.500 2.500 0 1 1 3.500 2.300c-.7.3-1 .8-1 1.700M12 17v0",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.500v2M12 19.500v2M2.500 12h2M19.500 12h2M5.300 5.300l1.400 1.400M17.300 17.300l1.400 1.400M18.700 5.300l-1.400 1.400M6.700 17.300l-1.400 1.400",
  moon: "M20 14.500A8.500 8.500 0 1 1 9.500 4a7 7 0 0 0 10.500 10.500z",
  user: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4 20c1-4 4-6 8-6s7 2 8 6",
  check: "M5 12.500 10 17.500 19.500 7",
  flag: "M6 21V4M6 4h11l-2 4 2 4H6",
  skip: "M5 5l8 7-8 7zM17 5v14",
  next: "M5 12h14M13 6l6 6-6 6",
  circle: "M12 5a7 7 0 1 0 0 14 7 7 0 0 0 0-14z",
  pencil: "M4 20l1-5L16 4l4 4L9 19z",
  warning: "M12 4 2.500 20h19zM12 10v4M12 17v0",
  upload: "M12 16V4M7 9l5-5 5 5M4 20h16",
  download: "M12 4v12M7 11l5 5 5-5M4 20h16",
  close: "M6 6l12 12M18 6 6 18",
  cloud: "M7 18a4.500 4.500 0 0 1 0-9 6 6 0 0 1 11.500 1.500A4 4 0 0 1 18 18z",
};

/**
 * @param {string} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
