// What all parts of the page use: elements, numbers, texts from data made harmless, packed columns, colours, theme.
"use strict";
const RT = {};
(() => {
  RT.COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#999999"];
  // cividis and viridis, sampled; from first to last
  const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
  RT.scale = (share) => VIRIDIS[Math.max(0, Math.min(VIRIDIS.length - 1, Math.floor(share * VIRIDIS.length)))];
  RT.STEPS = VIRIDIS.length;
  RT.NONE16 = 0xffff;
  RT.NONE32 = 0xffffffff;

  // An element with attributes and children. Strings become text, never markup.
  RT.el = (name, about = {}, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(about)) {
      if (value === null || value === undefined || value === false) continue;
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (key === "class") made.className = value;
      else made.setAttribute(key, value === true ? "" : value);
    }
    for (const child of children.flat()) if (child !== null && child !== undefined) made.append(child);
    return made;
  };
  RT.svg = (name, about = {}, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(about)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  // Text from data: control characters as pictures, marks that turn or hide text by their code points.
  const hex = (c) => "⟨U+" + c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + "⟩";
  RT.shown = (text) => String(text)
    .replace(/\r\n/g, "\n")
    .replace(/[\u0000-\u0008\u000b-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
    .replace(/\u007f/g, "␡")
    .replace(/[\u0080-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, hex);
  RT.short = (text, most) => { const found = RT.shown(text); return found.length > most ? found.slice(0, most) + "…" : found; };

  RT.count = (value) => Number(value).toLocaleString("en-US");
  RT.number = (value) => {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (typeof value !== "number") return RT.shown(value);
    if (Number.isInteger(value)) return RT.count(value);
    const size = Math.abs(value);
    return (size >= 100 ? value.toFixed(1) : size >= 1 ? value.toFixed(3) : size >= 0.001 || size === 0 ? value.toFixed(4) : value.toPrecision(3)).replace("-", "−");
  };
  RT.percent = (share) => (100 * share).toFixed(share > 0 && share < 0.01 ? 1 : 0) + "%";

  RT.json = (id) => { const found = document.getElementById(id); return found ? JSON.parse(found.textContent) : null; };
  RT.inflate = async (packed) => {
    const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  };
  const KINDS = { u16: Uint16Array, u32: Uint32Array, f32: Float32Array };
  RT.column = async (column) => column ? new KINDS[column.type](await RT.inflate(column.data)) : null;

  RT.colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const themed = [];
  RT.onTheme = (redraw) => themed.push(redraw);
  RT.setTheme = (theme) => {
    document.documentElement.dataset.theme = theme;
    const button = document.getElementById("theme");
    button.textContent = theme === "dark" ? "☀ light" : "☾ dark";
    for (const redraw of themed) redraw();
  };
  RT.startTheme = () => {
    const wish = matchMedia("(prefers-color-scheme: dark)");
    RT.setTheme(wish.matches ? "dark" : "light");
    wish.addEventListener("change", () => RT.setTheme(wish.matches ? "dark" : "light"));
    document.getElementById("theme").addEventListener("click", () =>
      RT.setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  };
  RT.legend = (entries) => RT.el("ul", { class: "legend" }, entries.map(([name, colour, kind]) => {
    const swatch = RT.el("span", { class: "swatch" + (kind ? " " + kind : ""), "aria-hidden": "true" });
    if (kind && kind.startsWith("line")) swatch.style.borderTopColor = colour;
    else if (kind !== "diamond") swatch.style.backgroundColor = colour;
    return RT.el("li", {}, swatch, RT.short(name, 60));
  }));
})();
