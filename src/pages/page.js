"use strict";
/* What pages do beyond HTML: the starting page tells how far the start has come and goes on, the
   failure page counts down, the home page tells what is now. Every page works without this file. */

const byId = (id) => document.getElementById(id);
const plural = (count, one, more) => `${count} ${count === 1 ? one : more}`;

/* The place in the queue and the wait in words, as starting.rs says them. */
function wait(queue, seconds) {
  const parts = [];
  if (queue === 0) parts.push("You are next");
  else if (queue !== null) parts.push(`${plural(queue, "other is", "others are")} before you`);
  if (seconds !== null) {
    const time = seconds < 100 ? plural(Math.max(1, seconds), "second", "seconds") : `${Math.round(seconds / 60)} minutes`;
    parts.push(`about ${time}`);
  }
  return parts.join(" \u00b7 ");
}

function follow(start) {
  /* Longest silence of the stream in milliseconds: the server says something every few seconds. */
  const silence = 15000;
  const steps = byId("steps");
  const began = performance.now();
  let [stepBegan, heard, leaving] = [began, began, false];

  /* Loads the same address again: it is the app now, or the page that says why not. A reload
     keeps the fragment and adds no step to the way back. */
  const again = () => {
    leaving = true;
    location.reload();
  };

  const show = ({ step, number, of, queue, estimate_seconds: seconds }) => {
    byId("bar").max = Math.max(1, 2 * of);
    byId("bar").value = Math.max(0, 2 * number - 1);
    byId("count").textContent = number > 0 ? `Step ${number} of ${of}` : "";
    if (byId("wait").textContent !== wait(queue, seconds)) byId("wait").textContent = wait(queue, seconds);
    const last = steps.lastElementChild;
    if (last.firstElementChild.textContent === step) return;
    const now = performance.now();
    const took = document.createElement("span");
    took.className = "took";
    took.setAttribute("aria-hidden", "true");
    took.textContent = `${((now - stepBegan) / 1000).toFixed(1)} s`;
    last.append(took);
    last.className = "done";
    const item = last.cloneNode(false);
    item.className = "now";
    const what = document.createElement("span");
    what.className = "what";
    what.textContent = step;
    item.append(what);
    steps.append(item);
    stepBegan = now;
  };

  const events = new EventSource(start.dataset.events);
  const hear = (then) => (event) => {
    heard = performance.now();
    byId("lost").hidden = true;
    then(event);
  };
  events.addEventListener("open", hear(() => {}));
  events.addEventListener("progress", hear((event) => show(JSON.parse(event.data))));
  events.addEventListener("ready", hear(again));
  events.addEventListener("failed", hear(again));

  setInterval(() => {
    const now = performance.now();
    byId("elapsed").textContent = `${Math.round((now - began) / 1000)} s`;
    byId("slow").hidden = now - began < 45000;
    if (leaving || now - heard < silence) return;
    /* The stream is dead. Ask whether anybody is there before leaving this page, which would
       otherwise end as the browser's own error page, that never asks again. */
    heard = now - silence + 5000;
    fetch("/_vestibule/healthz", { cache: "no-store" }).then(again, () => {
      byId("lost").hidden = false;
    });
  }, 1000);
}

/* Makes `old` what `now` is, and touches nothing that is so already: what has the focus keeps it,
   and a screen reader hears only what changed. */
function become(old, now) {
  if (old.nodeName !== now.nodeName) return void old.replaceWith(now);
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== now.data) old.data = now.data;
    return;
  }
  for (const { name } of [...old.attributes])
    /* Whether details are open is for who reads them to say. */
    if (!now.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const [were, are] = [[...old.childNodes], [...now.childNodes]];
  for (const node of were.slice(are.length)) node.remove();
  are.forEach((node, at) => (at < were.length ? become(were[at], node) : old.append(node)));
}

/* Keeps the home page as things are, as long as anybody can see it. */
function watch(live) {
  let [events, timer] = [null, 0];
  const look = () => {
    events?.close();
    clearTimeout(timer);
    timer = 0;
    if (document.visibilityState !== "visible") return;
    events = new EventSource(live.dataset.events);
    events.addEventListener("open", () => {
      clearTimeout(timer);
      timer = 0;
      byId("lost").hidden = true;
    });
    events.addEventListener("live", (event) => {
      const page = new DOMParser().parseFromString(JSON.parse(event.data), "text/html");
      const now = live.cloneNode(false);
      now.append(...page.body.childNodes);
      become(live, now);
    });
    events.addEventListener("error", () => {
      if (events.readyState === EventSource.CONNECTING) {
        /* It tries again, and is in error again, sooner than that. */
        timer ||= setTimeout(() => (byId("lost").hidden = false), 6000);
      } else {
        clearTimeout(timer);
        again();
      }
    });
  };
  /* Refused. Without a session, the page itself knows what to do; whatever else it is may pass. */
  const again = async () => {
    const answer = await fetch("/", { cache: "no-store" }).catch(() => null);
    if (answer?.status === 401) return location.reload();
    byId("lost").hidden = false;
    timer = setTimeout(look, 5000);
  };
  document.addEventListener("visibilitychange", look);
  look();
}

/* Counts down to when another try makes sense. The button works at any time. */
function countDown(retry) {
  const words = retry.lastChild;
  const end = performance.now() + 1000 * Number(retry.dataset.seconds);
  const timer = setInterval(() => {
    const left = Math.ceil((end - performance.now()) / 1000);
    if (left > 0) {
      words.data = `Another try makes sense in ${plural(left, "second", "seconds")}. Your files are safe.`;
    } else {
      words.data = "Another try makes sense now. Your files are safe.";
      clearInterval(timer);
    }
  }, 250);
}

/* A link to the address the page is at: a reload is the same and keeps the fragment. */
function keepFragment(link) {
  link.addEventListener("click", (event) => {
    const same = link.pathname === location.pathname && link.search === location.search;
    if (!same || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    location.reload();
  });
}

if (byId("live")) watch(byId("live"));
if (byId("start")) follow(byId("start"));
if (byId("retry")) countDown(byId("retry"));
if (byId("again")) keepFragment(byId("again"));
/* The end of a log says the most. */
if (byId("log")) byId("log").scrollTop = byId("log").scrollHeight;
if (document.querySelector("[data-fresh]")) {
  /* A page that the way back brings up again as it was tells an old state. */
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}
