// A list of any length that draws only what is in sight; one tab stop, arrow keys inside.
(() => {
  const HIGH = 54.4; // 3.4rem

  // about: label, fill(element, item) draws an item, choose(item) is called when one is chosen.
  RT.list = (about) => {
    let items = [], at = -1;
    const spacer = RT.el("div"), holder = RT.el("div", { class: "list", role: "listbox", tabindex: "0", "aria-label": about.label }, spacer);
    const drawn = new Map();

    function draw() {
      const first = Math.max(0, Math.floor(holder.scrollTop / HIGH) - 4);
      const last = Math.min(items.length, Math.ceil((holder.scrollTop + holder.clientHeight) / HIGH) + 4);
      for (const [place, element] of drawn) if (place < first || place >= last) { element.remove(); drawn.delete(place); }
      for (let place = first; place < last; place++) {
        if (drawn.has(place)) continue;
        const element = RT.el("div", { class: "item", role: "option", id: `${about.id}-${place}`, "aria-setsize": items.length, "aria-posinset": place + 1,
          "aria-selected": place === at ? "true" : "false", onclick: () => choose(place) });
        element.style.transform = `translateY(${place * HIGH}px)`;
        about.fill(element, items[place]);
        drawn.set(place, element);
        holder.append(element);
      }
    }
    function choose(place, quiet) {
      if (place < 0 || place >= items.length) return;
      drawn.get(at)?.setAttribute("aria-selected", "false");
      at = place;
      const top = at * HIGH, bottom = top + HIGH;
      if (top < holder.scrollTop) holder.scrollTop = top;
      else if (bottom > holder.scrollTop + holder.clientHeight) holder.scrollTop = bottom - holder.clientHeight;
      draw();
      drawn.get(at)?.setAttribute("aria-selected", "true");
      holder.setAttribute("aria-activedescendant", `${about.id}-${at}`);
      if (!quiet) about.choose(items[at]);
    }
    holder.addEventListener("scroll", draw, { passive: true });
    holder.addEventListener("keydown", (event) => {
      const page = Math.max(1, Math.floor(holder.clientHeight / HIGH) - 1);
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: items.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      choose(Math.max(0, Math.min(items.length - 1, to)));
    });
    new ResizeObserver(draw).observe(holder);
    return {
      holder,
      show(found) {
        items = found;
        at = -1;
        holder.removeAttribute("aria-activedescendant");
        for (const element of drawn.values()) element.remove();
        drawn.clear();
        spacer.style.height = items.length * HIGH + "px";
        holder.scrollTop = 0;
        draw();
      },
      chooseItem(item) { choose(items.indexOf(item)); return items.includes(item); },
      size: () => items.length,
    };
  };
})();
