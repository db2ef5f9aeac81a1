"use strict";
/* The starting page: shows how far the start has come, and goes on when it is over. */
const start = document.getElementById("start");
if (start) {
  const [bar, step, seconds, estimate] = ["bar", "step", "seconds", "estimate"].map((id) => document.getElementById(id));
  const began = Date.now();
  let heard = began;
  const again = () => location.reload();
  const say = (told) => {
    heard = Date.now();
    bar.max = told.of + 1;
    bar.value = told.number;
    const text = told.queue === null ? told.step : `Waiting for a free place: ${told.queue} before you`;
    if (step.textContent !== text) step.textContent = text;
    estimate.textContent = told.estimate_seconds === null ? "" : `About ${told.estimate_seconds} s, going by others`;
  };
  const events = new EventSource(start.dataset.events);
  events.addEventListener("progress", (event) => say(JSON.parse(event.data)));
  events.addEventListener("ready", again);
  events.addEventListener("failed", again);
  setInterval(() => {
    seconds.textContent = `${Math.round((Date.now() - began) / 1000)} s`;
    /* The stream says something every 5 s; without it, ask as a browser without script would. */
    if (Date.now() - heard > 15000) again();
  }, 1000);
}
