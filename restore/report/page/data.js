"use strict";
/* The data that scripts give to the page, numbers as text, and elements that hold text and no markup. */

const silverprint = (() => {
  const received = new Map();
  const awaited = new Map();

  /** Called by each data script with JSON text, which is parsed and never run. */
  function put(name, text) {
    received.set(name, JSON.parse(text));
    if (awaited.has(name)) awaited.get(name)(received.get(name));
  }

  const get = (name) => received.get(name);

  /** The value of `data/<name>.js`, loaded by a script since a page opened as a file may fetch nothing. */
  function load(name) {
    if (received.has(name)) return Promise.resolve(received.get(name));
    return new Promise((resolve, reject) => {
      awaited.set(name, resolve);
      const script = el("script", { src: `data/${name}.js` });
      script.onerror = () => reject(new Error(`data/${name}.js cannot be read`));
      document.head.append(script);
    });
  }

  /** An element; strings among its children become text, whatever they hold. */
  function el(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  /** A link, or plain text where a browser should not follow the address. */
  function link(address, text) {
    const safe = ["file:", "http:", "https:"].includes(new URL(address, location.href).protocol);
    return safe ? el("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, text) : text;
  }

  const number = (value, digits = 2) =>
    value === null || value === undefined ? "–" : value.toFixed(digits);

  const count = (value) => value.toLocaleString("en");

  function duration(seconds) {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
    if (seconds < 60) return `${seconds.toFixed(1)} s`;
    const minutes = Math.round(seconds / 60);
    return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  }

  function bytes(size) {
    const units = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    const power = size < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(size) / 3));
    return `${(size / 1000 ** power).toFixed(power ? 1 : 0)} ${units[power]}`;
  }

  const time = (iso) =>
    new Date(iso).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "short", timeZone: "UTC" }) + " UTC";

  /** Names and values as a table, without the values that are null or empty. */
  function table(values, shown = (name, value) => plain(value)) {
    const rows = Object.entries(values)
      .filter(([, value]) => value !== null && value !== "" && !(Array.isArray(value) && !value.length))
      .map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, shown(name, value))));
    return el("table", { class: "values" }, el("tbody", {}, ...rows));
  }

  const plain = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));

  return { put, get, load, el, link, number, count, duration, bytes, time, table };
})();
