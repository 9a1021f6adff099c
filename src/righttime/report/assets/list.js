/* A list of any length, of which only the rows in sight are elements: a listbox, by pointer and keys. */
(function (rt) {
  "use strict";

  const HEIGHT = 56, SPARE = 6;
  let lists = 0;

  /**
   * @param name what a screen reader calls it
   * @param fill (index, element): writes a row; asked again when `again()` is called
   * @param chosen (index): a row was chosen
   */
  rt.List = class {
    constructor(name, fill, chosen) {
      this.prefix = "list" + lists++ + "-";
      this.fill = fill;
      this.chosen = chosen;
      this.rows = [];
      this.at = -1;
      this.shown = new Map();
      this.room = rt.make("div", { class: "list-room", role: "presentation" });
      this.box = rt.make("div", { class: "list", role: "listbox", tabindex: "0", "aria-label": name, on: {
        scroll: () => this.draw(), keydown: (event) => this.key(event),
        click: (event) => { const item = event.target.closest(".item"); if (item) this.choose(Number(item.dataset.at)); },
      } }, this.room);
      new ResizeObserver(() => requestAnimationFrame(() => this.draw())).observe(this.box);
    }

    /** Show these rows (indices); the chosen one stays chosen if it is among them. */
    set(rows) {
      const was = this.at >= 0 ? this.rows[this.at] : null;
      this.rows = rows;
      this.at = was === null ? -1 : rows.indexOf(was);
      this.room.style.height = rows.length * HEIGHT + "px";
      this.shown.forEach((item) => item.remove());
      this.shown.clear();
      if (this.at < 0) this.box.removeAttribute("aria-activedescendant");
      this.draw();
    }

    draw() {
      const first = Math.max(0, Math.floor(this.box.scrollTop / HEIGHT) - SPARE);
      const last = Math.min(this.rows.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / HEIGHT) + SPARE);
      this.shown.forEach((item, at) => { if (at < first || at >= last) { item.remove(); this.shown.delete(at); } });
      for (let at = first; at < last; at++) if (!this.shown.has(at)) this.add(at);
    }

    add(at) {
      const item = rt.make("div", { class: "item", role: "option", id: this.prefix + at, "data-at": at, "aria-setsize": this.rows.length,
        "aria-posinset": at + 1, "aria-selected": at === this.at ? "true" : "false" });
      item.style.top = at * HEIGHT + "px";
      this.shown.set(at, item);
      this.room.append(item);
      this.fill(this.rows[at], item);
    }

    choose(at, quiet) {
      if (!this.rows.length) return;
      const was = this.shown.get(this.at);
      if (was) was.setAttribute("aria-selected", "false");
      this.at = Math.min(this.rows.length - 1, Math.max(0, at));
      const top = this.at * HEIGHT, { scrollTop, clientHeight } = this.box;
      if (top < scrollTop) this.box.scrollTop = top;
      else if (top + HEIGHT > scrollTop + clientHeight) this.box.scrollTop = top + HEIGHT - clientHeight;
      this.draw();
      const item = this.shown.get(this.at);
      if (item) item.setAttribute("aria-selected", "true");
      this.box.setAttribute("aria-activedescendant", this.prefix + this.at);
      if (!quiet) this.chosen(this.rows[this.at]);
    }

    key(event) {
      const page = Math.max(1, Math.floor(this.box.clientHeight / HEIGHT) - 1);
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
      if (!Object.hasOwn(steps, event.key)) return;
      event.preventDefault();
      this.choose(this.at < 0 && steps[event.key] < Infinity ? 0 : this.at + steps[event.key]);
    }
  };
})(righttime);
