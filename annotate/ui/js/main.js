/** Puts the page together and starts it. */

import { byId } from "./dom.js";
import { Keyboard } from "./keyboard.js";
import { ListPanel } from "./panels/list.js";
import { mountMessages } from "./panels/messages.js";
import { mountSide } from "./panels/side.js";
import { mountOptions, mountReadings, mountStageControls, mountTools } from "./panels/toolbar.js";
import { askName, mountTop, NAME_KEY } from "./panels/top.js";
import { Settings } from "./settings.js";
import { Api, ServerError } from "./store/api.js";
import { Database } from "./store/database.js";
import { Drafts } from "./store/drafts.js";
import { Outbox } from "./store/outbox.js";
import { Tabs } from "./store/tabs.js";
import { Stage } from "./view/stage.js";
import { Workspace } from "./workspace.js";

/** How often a server that does not answer is tried again. */
const TRY_MS = 2500;

/** @returns {string | null} the token of the address, kept for this tab and taken out of sight */
function takeToken() {
  const url = new URL(location.href);
  const given = url.searchParams.get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    url.searchParams.delete("token");
    history.replaceState(null, "", url);
  }
  return sessionStorage.getItem("token");
}

async function start() {
  const settings = new Settings();
  const api = new Api(takeToken(), localStorage.getItem(NAME_KEY) ?? "");
  const [database, tabs] = await Promise.all([Database.open(), Tabs.start()]);
  const full = () =>
    workspace.say("This browser's storage is full: your work is not kept if the page closes. Submit it soon.", "bad");
  const drafts = new Drafts(database, tabs, full);
  const outbox = new Outbox(database, tabs, api);
  outbox.addEventListener("unkept", full);
  outbox.addEventListener("elsewhere", (event) => workspace.failed(/** @type {CustomEvent} */ (event).detail));
  const workspace = new Workspace({ api, drafts, outbox, tabs, settings });
  workspace.stage = new Stage(byId("stage"), workspace);
  mountMessages(workspace);
  mountTop(workspace);
  mountTools(workspace);
  mountOptions(workspace);
  mountStageControls(workspace);
  mountReadings(workspace);
  mountSide(workspace);
  const list = new ListPanel(workspace);
  new Keyboard(workspace);
  if (!database.lasting)
    workspace.say(
      "This browser keeps nothing for this page: work that is not submitted is lost when it closes.",
      "bad",
    );

  for (const name of ["pointermove", "pointerdown", "keydown", "wheel"])
    addEventListener(name, () => workspace.annotation?.clock.act(), { passive: true });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) return;
    workspace.annotation?.clock.stop();
    drafts.flush();
  });
  addEventListener("pagehide", () => drafts.flush());
  addEventListener("hashchange", () => openAddressed(workspace));
  setInterval(() => api.reachable || api.get("/api/session").catch(() => {}), TRY_MS);

  await askName(workspace);
  const begin = async () => {
    try {
      await workspace.loadSession();
      await Promise.all([list.load(), outbox.start()]);
      await openAddressed(workspace);
    } catch (error) {
      const refused = error instanceof ServerError && error.status === 401;
      workspace.failed(
        refused
          ? new ServerError("The server asks for its token: open the address that it printed when it started.", 401, {})
          : error,
        begin,
      );
    }
  };
  api.addEventListener("connection", () => api.reachable && !workspace.session && begin());
  await begin();
}

/** @returns {string} the image that the address names; what is no encoded name names none */
function addressed() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

/** @param {Workspace} workspace where the address names an image, it is opened */
async function openAddressed(workspace) {
  const id = addressed();
  workspace.settings.set({ drawer: !id });
  if (id && id !== workspace.annotation?.item.id) await workspace.open(id);
}

start();
