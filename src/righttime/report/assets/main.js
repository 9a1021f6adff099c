/* The page itself: title, navigation, sections, theme. What needs rows comes when they are unpacked. */
(function (rt) {
  "use strict";

  const VIEWS = { map: (...all) => rt.mapView(...all), targets: (...all) => rt.targetView(...all), pool: (...all) => rt.poolView(...all) };
  const THEMES = [[null, "Theme: as the system"], ["light", "Theme: light"], ["dark", "Theme: dark"]];

  function themeButton() {
    const button = document.getElementById("theme");
    let at = 0;
    const show = () => { button.textContent = THEMES[at][1]; };
    button.addEventListener("click", () => { at = (at + 1) % THEMES.length; show(); rt.chooseTheme(THEMES[at][0]); });
    show();
  }

  function navigation(sections) {
    const links = sections.map((section) => rt.make("a", { href: "#" + encodeURIComponent(section.id), text: section.title }));
    document.getElementById("nav").append(rt.make("ul", {}, ...links.map((link) => rt.make("li", {}, link))));
    const watch = new IntersectionObserver((seen) => seen.filter((one) => one.isIntersecting).forEach((one) =>
      links.forEach((link, at) => {
        if (sections[at].id === one.target.id) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      })), { rootMargin: "-15% 0px -75% 0px" });
    document.querySelectorAll("main > section").forEach((one) => watch.observe(one));
  }

  function section(about) {
    const title = rt.make("h2", { text: about.title, dir: "auto" });
    const box = rt.make("section", { id: about.id, "aria-label": rt.visible(about.title) }, title, ...about.blocks.map(rt.block));
    if (about.view) box.append(rt.make("div", { class: "view", "data-view": about.view }, rt.make("p", { class: "caption", text: "Unpacking rows\u2026" })));
    return box;
  }

  async function views(page) {
    const wanted = [...document.querySelectorAll("main .view")];
    if (!wanted.length) return;
    const failed = (box, error) => {
      console.error(error);
      box.replaceChildren(rt.make("p", { class: "tone warning", text: "This part could not be shown: " + error.message }));
    };
    try {
      const rows = await rt.readRows();
      if (!rows) throw new Error("the page has no rows");
      const state = rt.rowState(rows, rt.json("texts"));
      for (const box of wanted) {
        try { box.replaceChildren(...VIEWS[box.dataset.view](state, box)); } catch (error) { failed(box, error); }
      }
    } catch (error) { wanted.forEach((box) => failed(box, error)); }
  }

  async function start() {
    const page = rt.json("page");
    document.getElementById("title").textContent = rt.visible(page.title);
    themeButton();
    document.getElementById("content").replaceChildren(...page.sections.map(section));
    navigation(page.sections);
    const made = page.made || {};
    document.getElementById("made").append(rt.make("p", { text: "Made by righttime " + (made.version || "") + ", " + (made.time || "") + "." }),
      made.command ? rt.make("code", { text: made.command }) : "");
    performance.mark("righttime-page");
    await views(page);
    performance.mark("righttime-ready");
    document.documentElement.dataset.ready = "true";
    const there = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (there) there.scrollIntoView();
  }

  start();
})(righttime);
