// Looks again every few seconds, and while words are typed. Only what the server wrote as markup is put into the page.
"use strict";

addEventListener("DOMContentLoaded", () => {
  const every = Number(document.body.dataset.refresh), lost = document.getElementById("lost");
  const filter = document.getElementById("filter");
  let asked = 0, typed = 0, since = null;

  const put = (page) => {
    const old = document.getElementById("main"), fresh = page.getElementById("main");
    const open = new Set([...old.querySelectorAll("details[open]")].map((one) => one.id));
    for (const one of fresh.querySelectorAll("details")) one.open = open.has(one.id);
    const [x, y] = [scrollX, scrollY];
    old.replaceWith(document.adoptNode(fresh));
    const now = document.querySelectorAll("header nav a"), then = page.querySelectorAll("header nav a");
    now.forEach((link, at) => { link.href = then[at].href; link.replaceChildren(...then[at].childNodes); });
    scrollTo(x, y);
  };

  const look = async () => {
    const mine = ++asked;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) throw new Error(await answer.text());
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (mine !== asked) return;  // somebody has typed meanwhile
      put(page);
      since = null;
      lost.hidden = true;
    } catch (error) {
      if (mine !== asked) return;
      since ??= new Date();
      lost.textContent = `the console does not answer since ${since.toLocaleTimeString()}; what is shown is old. ${error.message}`;
      lost.hidden = false;
    }
  };

  const wanted = () => {
    const given = new URLSearchParams();
    for (const [name, value] of new FormData(filter)) if (value) given.set(name, value);
    history.replaceState(null, "", `${location.pathname}?${given}`);
    look();
  };

  filter.addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(wanted, 300); });
  filter.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(typed); wanted(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  setInterval(() => { if (!document.hidden) look(); }, every);
});
