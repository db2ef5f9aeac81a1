// A user is revoked while their editor is open: its sockets end at once, and a reload brings them
// back with no password as long as Django knows them; after that, to Django's login.
// VESTIBULE is the binary, WORLD the directory that its configuration is in.

import { execFileSync } from "node:child_process";
import { logIn, ORIGIN, scenario, SITE, until, USERNAME, workbench } from "./person.mjs";

const { VESTIBULE, WORLD } = process.env;

function revoke() {
  execFileSync(VESTIBULE, ["revoke", USERNAME, "--config", "proxy.toml"], { cwd: WORLD, stdio: "inherit" });
}

await scenario("revoked", async (page, step, shot) => {
  const open = new Set();
  page.on("websocket", (socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
  });
  const editor = `${ORIGIN}/codespace/${USERNAME}/`;
  await page.goto(editor);
  await logIn(page);
  await workbench(page);
  await until("the editor has a socket", () => open.size > 0);
  step(`the editor is open, with ${open.size} sockets`);

  const before = [...open];
  revoke();
  const began = Date.now();
  await until("its sockets end", () => before.every((socket) => socket.isClosed()), 5);
  step(`revoked: ${before.length} sockets ended within ${Date.now() - began} ms`);
  await shot("cut");

  await page.reload({ waitUntil: "domcontentloaded" });
  await workbench(page);
  if (!page.url().startsWith(editor)) throw new Error(`at ${page.url()}`);
  step("a reload brought the editor back, with no password");

  await page.context().clearCookies({ name: "sessionid" });
  revoke();
  await page.reload({ waitUntil: "domcontentloaded" });
  await page.locator("input[name=password]").waitFor();
  if (!page.url().startsWith(SITE)) throw new Error(`at ${page.url()}`);
  await shot("login");
  step("nobody is signed in at Django any more: a reload ends at its login");
});
