// Asks for the figures once a second and fills them in. Without it the page shows those of the moment it was made.
"use strict";

for (const place of document.querySelectorAll("[data-origin]")) place.textContent = location.host;

const table = document.querySelector("#shards tbody");
const note = document.getElementById("note");
const whole = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });
const units = ["B", "kB", "MB", "GB", "TB", "PB"];
let last = null;

function bytes(count) {
  let unit = 0;
  for (; count >= 1000 && unit < units.length - 1; unit++) count /= 1000;
  return `${short.format(count)} ${units[unit]}`;
}

function sum(shards, key) {
  return shards.reduce((total, shard) => total + shard[key], 0);
}

function show(now) {
  const seconds = last ? (now.at - last.at) / 1000 : 0;
  const rate = (shard, key) => (last && seconds > 0 ? (now.shards[shard][key] - last.shards[shard][key]) / seconds : 0);
  const rates = now.shards.map((_, shard) => rate(shard, "requests"));
  const top = Math.max(1, ...rates);
  now.shards.forEach((shard, index) => {
    const cells = table.rows[index].cells;
    cells[2].textContent = last ? whole.format(Math.round(rates[index])) : "–";
    cells[2].style.setProperty("--share", `${(rates[index] / top) * 100}%`);
    [shard.connections, shard.accepted, shard.requests].forEach((count, at) => (cells[3 + at].textContent = whole.format(count)));
    [shard.bytes_in, shard.bytes_out].forEach((count, at) => (cells[6 + at].textContent = bytes(count)));
    cells[8].textContent = whole.format(shard.enters);
  });
  const enters = sum(now.shards, "enters") - (last ? sum(last.shards, "enters") : 0);
  const requests = sum(now.shards, "requests") - (last ? sum(last.shards, "requests") : 0);
  document.getElementById("rate").textContent = last ? whole.format(Math.round(rates.reduce((a, b) => a + b, 0))) : "–";
  document.getElementById("open").textContent = whole.format(sum(now.shards, "connections"));
  document.getElementById("enters").textContent = requests > 0 ? short.format(enters / requests) : "–";
  note.textContent = "Refreshed every second.";
  last = now;
}

async function ask() {
  try {
    const answer = await fetch("/live.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    const { shards } = await answer.json();
    show({ shards, at: performance.now() });
  } catch {
    note.textContent = "The server does not answer. Trying again.";
    last = null;
  }
  setTimeout(ask, 1000);
}

if (table) ask();
