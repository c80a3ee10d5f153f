"use strict";
/* The photos: searched, filtered, ordered, and shown as cards that load while the reader scrolls. */

silverprint.gallery = (() => {
  const { el, get, number, count, duration } = silverprint;
  const columns = get("index").columns;
  const total = (columns.item_id ?? []).length;
  const { archive, counts, figure_charts: figures } = get("run");
  const positions = new Map(Array.from({ length: total }, (_, i) => [columns.item_id[i], i]));
  const by = (name) => document.getElementById(name);
  const CARDS = 60;

  let shown = [];
  let placed = 0;

  const falling = (name) => (a, b) => (columns[name][b] ?? -1) - (columns[name][a] ?? -1) || a - b;
  const rising = (name) => (a, b) => (columns[name][a] ?? Infinity) - (columns[name][b] ?? Infinity) || a - b;
  const failedFirst = (a, b) => (columns.status[b] === "failed") - (columns.status[a] === "failed");
  const ORDERS = {
    "worst first": (a, b) => failedFirst(a, b) || falling("suspicion")(a, b),
    ...Object.fromEntries(Object.entries(figures).filter(([, figure]) => figure.order).map(([name, figure]) => [figure.order, (figure.worst_is_low ? rising : falling)(name)])),
    "largest coverage": falling("mask_coverage"),
    "slowest": falling("seconds"),
    "item id": (a, b) => (columns.item_id[a] < columns.item_id[b] ? -1 : 1),
    "as they came": (a, b) => a - b,
  };

  /** How a photo ended: a run that shows an earlier picture has reused it; the archive shows it all the same. */
  const result = (i) => (columns.reused[i] && !archive ? "reused" : columns.status[i]);

  function choices(select, all, values) {
    select.append(el("option", { value: "" }, all));
    select.append(...values.map((value) => el("option", { value }, value)));
  }

  const distinct = (values) => [...new Set(values)].filter(Boolean).sort();

  function matches(i, wanted) {
    return (
      (!wanted.status || result(i) === wanted.status) &&
      (!wanted.code || columns.error_code[i] === wanted.code) &&
      (!wanted.engine || columns.engine[i] === wanted.engine) &&
      (!wanted.search || `${columns.item_id[i]}\n${columns.error_message[i] ?? ""}`.toLowerCase().includes(wanted.search))
    );
  }

  function update() {
    const wanted = { search: by("search").value.trim().toLowerCase(), status: by("status").value, code: by("code").value, engine: by("engine").value };
    shown = Array.from({ length: total }, (_, i) => i).filter((i) => matches(i, wanted)).sort(ORDERS[by("order").value]);
    by("gallery").replaceChildren();
    placed = 0;
    place();
    by("count").textContent = shown.length === total ? `${count(total)} photos` : `${count(shown.length)} of ${count(total)} photos`;
    const all = archive ? archive.items : Object.values(counts.status).reduce((sum, value) => sum + value, 0);
    const unlisted = all - total;
    if (unlisted) by("count").append(`; ${count(unlisted)} more of lower suspicion are counted above and not listed here`);
    if (!shown.length) by("gallery").append(el("p", { class: "empty" }, total ? "No photo matches." : "There is no photo to show."));
  }

  function place() {
    const some = shown.slice(placed, placed + CARDS);
    by("gallery").append(...some.map(card));
    placed += some.length;
  }

  const address = (i) => `#${encodeURIComponent(columns.item_id[i])}`;
  const picture = (i, name) => `thumbs/${String(i).padStart(6, "0")}-${name}.${name === "damage" ? "png" : "jpg"}`;

  function card(i) {
    const [pictures, failed] = [columns.pictures[i], columns.status[i] === "failed"];
    const name = ["after", "before"].find((name) => pictures.includes(name));
    const image = name ? el("img", { src: picture(i, name), alt: "", loading: "lazy", decoding: "async" }) : el("span", { class: "none" }, failed ? "no picture" : "no thumbnail");
    const suspicion = columns.suspicion[i] === null ? "" : `suspicion ${number(columns.suspicion[i])}`;
    const note = failed ? columns.error_code[i] : result(i) === "reused" ? ["reused", suspicion].filter(Boolean).join(" · ") : suspicion || result(i);
    const slow = by("order").value === "slowest" ? ` · ${duration(columns.seconds[i])}` : "";
    const covered = by("order").value === "largest coverage" && columns.mask_coverage[i] !== null ? ` · ${number(100 * columns.mask_coverage[i], 1)}% damaged` : "";
    return el("a", { class: failed ? "card failed" : "card", href: address(i) },
      el("span", { class: "picture" }, image),
      el("span", { class: "id" }, columns.item_id[i]),
      el("span", { class: "note" }, note + slow + covered));
  }

  /** Arrow keys walk from card to card; space opens one, as enter does. */
  function walk(event) {
    const here = event.target.closest(".card");
    if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " ") here.click();
    const cards = [...by("gallery").children];
    const across = cards.filter((card) => card.offsetTop === cards[0].offsetTop).length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
    if (step) cards[cards.indexOf(here) + step]?.focus();
    if (step || event.key === " ") event.preventDefault();
  }

  function showCode(code) {
    by("filters").reset();
    by("code").value = code;
    update();
    by("photos-title").scrollIntoView();
  }

  /** The photo `step` places further in what is shown, or null at an end. */
  function neighbour(i, step) {
    const next = shown[shown.indexOf(i) + step];
    return shown.includes(i) && next !== undefined ? next : null;
  }

  function focus(i) {
    [...by("gallery").children].find((card) => card.getAttribute("href") === address(i))?.focus();
  }

  choices(by("status"), "all", distinct(Array.from({ length: total }, (_, i) => result(i))));
  choices(by("code"), "all", distinct(columns.error_code));
  choices(by("engine"), "all", distinct(columns.engine));
  by("order").append(...Object.keys(ORDERS).map((value) => el("option", { value }, value)));
  by("filters").addEventListener("input", update);
  by("filters").addEventListener("submit", (event) => event.preventDefault());
  by("gallery").addEventListener("keydown", walk);
  new IntersectionObserver(([entry]) => entry.isIntersecting && place(), { rootMargin: "800px" }).observe(by("more"));
  update();

  return { columns, positions, result, picture, address, neighbour, focus, showCode, place: (i) => [shown.indexOf(i) + 1, shown.length] };
})();
