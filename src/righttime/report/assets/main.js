// Puts the page together.
(async () => {
  const el = RT.el, page = RT.json("page"), main = document.getElementById("content");
  const texts = RT.json("texts");
  RT.shownCharacters = texts ? texts.shown_chars : 0;
  document.getElementById("title").textContent = RT.shown(page.title);
  RT.startTheme();
  main.replaceChildren();
  const views = {}, waiting = [];
  for (const section of page.sections) {
    const made = el("section", { id: section.id, "aria-labelledby": `${section.id}-head` }, el("h2", { id: `${section.id}-head` }, RT.shown(section.title)), section.blocks.map(RT.block));
    if (section.view) {
      const holder = el("div", {}, el("p", { class: "hint" }, "Opening the rows…"));
      made.append(holder);
      waiting.push([section.view, holder, made]);
    }
    main.append(made);
    document.getElementById("nav").append(el("li", {}, el("a", { href: `#${section.id}` }, RT.shown(section.title))));
  }
  document.getElementById("foot").textContent = `Made by righttime ${page.made.version}, ${page.made.time}.` + (page.made.command ? ` ${RT.shown(page.made.command)}` : "");

  const links = [...document.querySelectorAll("#nav a")];
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting)
      for (const link of links) link.getAttribute("href") === `#${entry.target.id}` ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  }, { rootMargin: "-20% 0px -70% 0px" });
  for (const section of main.querySelectorAll("section")) watch.observe(section);

  // Go to a row of a side, wherever the reader is.
  RT.go = (side, i) => {
    const [view, made] = views[side];
    made.scrollIntoView({ block: "start" });
    view.go(i);
    made.querySelector(".list").focus({ preventScroll: true });
  };
  const rows = await RT.openRows(RT.json("rows"), texts);
  for (const [name, holder, made] of waiting) {
    if (name === "map") { holder.replaceChildren(RT.map(rows)); continue; }
    const side = name === "targets" ? "target" : "pool", view = RT[name](rows);
    views[side] = [view, made];
    holder.replaceChildren(view.root);
  }
  document.documentElement.dataset.ready = "true";
})();
