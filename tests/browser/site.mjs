// Django's page tells how the workspace is, and logging out there ends the editor that is open.

import { logIn, ORIGIN, scenario, SITE, until, USERNAME, workbench } from "./person.mjs";

await scenario("site", async (page, step, shot) => {
  await page.goto(SITE);
  if (await page.locator("input[name=password]").count()) await logIn(page);
  await page.locator(".status").waitFor();
  step(`Django says: ${await page.locator(".status").innerText()}`);

  const editor = await page.context().newPage();
  await editor.goto(`${ORIGIN}/codespace/${USERNAME}/`);
  await workbench(editor);
  await page.reload();
  const status = await page.locator(".status").innerText();
  if (!status.startsWith("Running: codespace")) throw new Error(`Django says ${status}`);
  await shot("light");
  await page.emulateMedia({ colorScheme: "dark" });
  await page.setViewportSize({ width: 390, height: 844 });
  await shot("dark-phone");
  step(`Django says: ${status}`);

  // From here on: of a page that was left, no socket's end is told.
  await editor.reload({ waitUntil: "commit" });
  // Those that were let in; the editor tries again and again once it is shut out.
  const open = new Set();
  editor.on("websocket", (socket) => {
    socket.on("framereceived", () => socket.isClosed() || open.add(socket));
    socket.on("close", () => open.delete(socket));
  });
  await workbench(editor);
  await until("the editor has a socket", () => open.size > 0);
  await page.click("text=Log out");
  await page.locator("input[name=password]").waitFor();
  await until("every socket of the editor has ended", () => open.size === 0, 10);
  step("logged out; the editor's sockets have ended");
  await editor.reload();
  await editor.locator("input[name=password]").waitFor();
  step("its reload asks for a login");
});
