/** Elements made in one call. */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [properties] `onX` are listeners, names with a dash and `role` attributes, others properties
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "for" || name === "list")
      element.setAttribute(name, value);
    else if (name === "class") element.className = value;
    else if (name === "style") Object.assign(element.style, value);
    else /** @type {any} */ (element)[name] = value;
  }
  element.append(
    .../** @type {(Node | string)[]} */ (
      children.filter((child) => child !== null && child !== undefined && child !== false)
    ),
  );
  return element;
}

/**
 * @param {string} id
 * @returns {HTMLElement} the element of the page with that id
 */
export function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/**
 * @param {string} label
 * @param {{min: number, max: number, step?: number, value: number, format?: (value: number) => string, keys?: string,
 *   oninput: (value: number) => void, onchange?: (value: number) => void}} options
 * @returns {{element: HTMLElement, set: (value: number, disabled?: boolean) => void}} a slider with its label and its value
 */
export function slider(label, { min, max, step = 1, value, format = String, keys, oninput, onchange }) {
  const id = `slider-${label.toLowerCase().replace(/\W+/g, "-")}`;
  const output = h("output", { for: id }, format(value));
  const input = h("input", {
    type: "range",
    id,
    min,
    max,
    step,
    value,
    "aria-keyshortcuts": keys,
    title: keys ? `${label} (${keys})` : label,
  });
  input.value = String(value);
  const show = () => {
    output.textContent = format(Number(input.value));
    input.setAttribute("aria-valuetext", format(Number(input.value)));
  };
  input.addEventListener("input", () => {
    show();
    oninput(Number(input.value));
  });
  input.addEventListener("change", () => onchange?.(Number(input.value)));
  return {
    element: h("div", { class: "field" }, h("label", { htmlFor: id }, label), output, input),
    set(now, disabled = false) {
      input.disabled = disabled;
      if (Number(input.value) === now && output.textContent === format(now)) return;
      input.value = String(now);
      show();
    },
  };
}

/**
 * A dialog that is taken out of the page when it closes.
 * @param {string} title
 * @param {(Node | string)[]} content
 * @param {{label: string, value: string, primary?: boolean}[]} actions
 * @returns {Promise<string>} the value of the action chosen, "" for Escape
 */
export function ask(title, content, actions) {
  return new Promise((resolve) => {
    const id = `dialog-${Math.random().toString(36).slice(2)}`;
    const buttons = actions.map(({ label, value, primary }) =>
      h(
        "button",
        {
          type: primary ? "submit" : "button",
          class: primary ? "primary" : "",
          value,
          onclick: () => dialog.close(value),
        },
        label,
      ),
    );
    const form = h(
      "form",
      { method: "dialog", onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
      ...content,
    );
    form.append(h("div", { class: "actions" }, ...buttons));
    const dialog = h("dialog", { "aria-labelledby": id }, h("h2", { id }, title), form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * @param {number} seconds
 * @returns {string} such as 1:05
 */
export function duration(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/**
 * @param {string | null | undefined} when ISO time
 * @returns {string} in the reader's words
 */
export function moment(when) {
  const date = when ? new Date(when) : null;
  if (!date || Number.isNaN(date.getTime())) return when ?? "";
  return date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}
