// A tab is open while its workspace breaks in every way; each time a reload ends in a working
// editor. CONTAINER is the user's container.

import { execFileSync } from "node:child_process";
import { ORIGIN, scenario, USERNAME, workbench } from "./person.mjs";

const container = process.env.CONTAINER;
const docker = (...words) => execFileSync("docker", words, { stdio: ["ignore", "ignore", "inherit"] });

const faults = {
  "the IDE is killed": () => docker("exec", container, "sh", "-c", "pkill -9 -f '[o]ut/node/entry'"),
  "the container is killed": () => docker("kill", container),
  "the container is paused": () => docker("pause", container),
  "the container is removed": () => docker("rm", "-f", container),
};

await scenario("reload", async (page, step, shot) => {
  await page.goto(`${ORIGIN}/codespace/${USERNAME}/`);
  await workbench(page);
  step("the editor is open");
  for (const [what, happen] of Object.entries(faults)) {
    happen();
    // The first answer may be a page that says why, with a button to try again.
    for (let tries = 3; ; tries--) {
      const answer = await page.reload({ waitUntil: "domcontentloaded" });
      if (!answer || answer.status() < 400) break;
      const text = await page.locator("main").innerText();
      await shot("failed");
      if (!tries || !text.trim()) throw new Error(`${answer.status()} after ${what}: ${text}`);
      step(`${answer.status()}: ${text.split("\n")[0]}`);
    }
    await workbench(page);
    step(`${what}: the editor is back`);
  }
});
