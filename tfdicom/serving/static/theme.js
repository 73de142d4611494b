// Light or dark: as the system says, until somebody chooses. Runs before the page is
// drawn, so that it does not flash.
"use strict";

const THEME = "tfdicom theme";

function keptTheme() {
  try {
    return localStorage.getItem(THEME);
  } catch {
    return null; // no storage: a private window, or forbidden
  }
}

if (keptTheme()) document.documentElement.dataset.theme = keptTheme();

addEventListener("DOMContentLoaded", () => {
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const system = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
    const now = root.dataset.theme || system;
    root.dataset.theme = now === "light" ? "dark" : "light";
    try {
      localStorage.setItem(THEME, root.dataset.theme);
    } catch {
      // it holds for this page
    }
  });
});
