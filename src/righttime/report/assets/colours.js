/* Colours: Okabe and Ito's for kinds, viridis for amounts, and what is dark or light. */
(function (rt) {
  "use strict";

  const KINDS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"];
  const DASHES = [[], [9, 4], [2, 3], [11, 3, 2, 3], [5, 2, 5, 6]];
  const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
  const system = matchMedia("(prefers-color-scheme: dark)");
  const listeners = [];
  let chosen = null, printing = false;

  rt.dark = () => !printing && (chosen === null ? system.matches : chosen === "dark");
  rt.onTheme = (work) => listeners.push(work);
  const tell = () => listeners.forEach((work) => work());
  system.addEventListener("change", tell);
  addEventListener("beforeprint", () => { printing = true; tell(); });
  addEventListener("afterprint", () => { printing = false; tell(); });
  rt.chooseTheme = function (name) {
    chosen = name;
    if (name === null) delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    tell();
  };

  /** The colour of the kind with this number; from the eighth on they come again, see `rt.again`. */
  rt.kind = function (number) {
    const found = KINDS[number % KINDS.length];
    if (!rt.dark()) return found;
    return found === "#000000" ? "#f2f2f2" : found === "#0072B2" ? "#3d9ad1" : found;
  };
  rt.again = (number) => number >= KINDS.length;

  /** The dashes of a line: with the colour they tell thirty-five lines apart, and without it, in print, five. */
  rt.dash = (number) => DASHES[number % DASHES.length];
  rt.printing = () => printing;
  rt.KINDS = KINDS.length;
  rt.grey = () => (rt.dark() ? "#8a8f98" : "#999999");
  rt.ink = () => (rt.dark() ? "#d7dae0" : "#30343b");
  rt.faint = () => (rt.dark() ? "#2c3038" : "#e6e8ec");

  const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const STEPS = VIRIDIS.map(channels);

  /** Red, green and blue of a share between 0 and 1; on dark ground the darkest violet is left out. */
  rt.amountRgb = function (share) {
    const low = rt.dark() ? 0.18 : 0, high = rt.dark() ? 1 : 0.94;
    const at = (low + (high - low) * Math.min(1, Math.max(0, share))) * (STEPS.length - 1);
    const from = Math.min(STEPS.length - 2, Math.floor(at)), part = at - from;
    return STEPS[from].map((value, one) => Math.round(value + part * (STEPS[from + 1][one] - value)));
  };
  rt.amount = (share) => "rgb(" + rt.amountRgb(share).join(",") + ")";

  /** Black or white, whichever is read better on a colour. */
  rt.readable = ([red, green, blue]) => (0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#111" : "#fff");

  /** A colour as one 32-bit number, as ImageData has it. */
  rt.packed = function (colour) {
    const [red, green, blue] = colour.startsWith("#") ? channels(colour) : colour.match(/\d+/g).map(Number);
    return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  };

  rt.clear = (colour, share) => {
    const [red, green, blue] = channels(colour);
    return "rgba(" + red + "," + green + "," + blue + "," + share + ")";
  };
})(righttime);
