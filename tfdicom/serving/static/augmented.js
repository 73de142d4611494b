// Asks for the pictures one after the other: each is work for the server, the first
// most of all.

import { ask } from "./requests.js";

const AT_ONCE = 2;
const pictures = [...document.querySelectorAll("img[data-src]")];
const progress = document.getElementById("progress");
const waiting = [...pictures];
let done = 0;
let failed = "";

function tell() {
  if (failed) progress.textContent = failed;
  else if (done < pictures.length) progress.textContent = `${done} of ${pictures.length} pictures made`;
  else progress.textContent = "";
}

async function work() {
  while (waiting.length && !failed) {
    const picture = waiting.shift();
    try {
      const blob = await (await ask(picture.dataset.src)).blob();
      picture.src = URL.createObjectURL(blob);
      done += 1;
    } catch (error) {
      failed = error.message;
      progress.setAttribute("role", "alert");
      progress.className = "problem";
    }
    tell();
  }
}

tell();
for (let one = 0; one < AT_ONCE; one += 1) work();
