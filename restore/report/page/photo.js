"use strict";
/* One photo: before and after under a slider, its damage and windows, its figures, its row. */

silverprint.photo = (() => {
  const { el, get, load, link, number, duration, table } = silverprint;
  const { columns, positions, result, picture, address, neighbour, place, focus } = silverprint.gallery;
  const by = (name) => document.getElementById(name);
  const dialog = by("photo");
  const layers = { damage: false, windows: false };
  let current = null;

  const rowsOf = (i) => `rows-${String(Math.floor(i / get("index").rows_per_file)).padStart(5, "0")}`;

  async function show(i) {
    current = i;
    by("photo-title").replaceChildren(columns.item_id[i], " ", el("span", { class: `status ${result(i)}` }, result(i)));
    const [nth, of] = place(i);
    by("photo-place").textContent = nth ? `${nth} of ${of}` : "";
    by("previous").disabled = neighbour(i, -1) === null;
    by("next").disabled = neighbour(i, 1) === null;
    by("photo-body").replaceChildren(el("p", { class: "empty" }, "Loading…"));
    if (!dialog.open) dialog.showModal();
    by("photo-body").focus();
    try {
      const rows = await load(rowsOf(i));
      if (current === i) fill(i, rows[i % get("index").rows_per_file]);
    } catch (error) {
      by("photo-body").replaceChildren(el("p", { class: "message" }, `${error.message}; the row is in the Parquet files under metadata/.`));
    }
  }

  function fill(i, row) {
    const facts = el("div", { class: "facts" }, message(row), figures(row), links(row), seconds(row), ...tables(row));
    by("photo-body").replaceChildren(el("div", { class: "viewer" }, ...viewer(i, row)), facts);
    by("photo-body").scrollTop = 0;
  }

  function viewer(i, row) {
    const has = (name) => columns.pictures[i].includes(name);
    if (has("before") && has("after")) return [stage(i, row, slider(i)), divider(), toggles(i, row)];
    const name = ["after", "before"].find(has);
    if (!name) return [el("p", { class: "none" }, row.output ? "This photo has no thumbnail here; open the restored file." : "There is no picture of this photo.")];
    return [stage(i, row, el("img", { src: picture(i, name), alt: `${name}: ${row.item_id}` })), el("p", { class: "hint" }, name === "before" ? "before: the source as read" : "after: the restored picture")];
  }

  function stage(i, row, content) {
    const area = el("div", { class: "stage-area" }, content);
    area.style.setProperty("--ratio", row.width && row.height ? row.width / row.height : 1.33);
    if (columns.pictures[i].includes("damage")) area.append(el("img", { class: "layer damage", src: picture(i, "damage"), alt: "", hidden: !layers.damage || null }));
    if (row.windows.length) area.append(windows(row));
    return area;
  }

  function slider(i) {
    // The first picture lies left of the divider: a divider at 100 shows it whole.
    const before = el("img", { slot: "first", src: picture(i, "before"), alt: `before: ${columns.item_id[i]}` });
    const after = el("img", { slot: "second", src: picture(i, "after"), alt: `after: ${columns.item_id[i]}` });
    // The keys are the page's: arrows go to the next photo, and the range below moves the divider.
    const compare = el("img-comparison-slider", { id: "compare", value: 50, keyboard: "disabled", tabindex: -1 }, before, after);
    compare.addEventListener("slide", () => (by("divider").value = compare.value));
    return compare;
  }

  function divider() {
    const range = el("input", { id: "divider", type: "range", min: 0, max: 100, value: 50, "aria-label": "Divider between before and after" });
    range.addEventListener("input", () => (by("compare").value = range.value));
    return el("div", { class: "divider" }, el("span", {}, "before"), range, el("span", {}, "after"));
  }

  function windows(row) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "layer windows");
    svg.setAttribute("viewBox", `0 0 ${row.width} ${row.height}`);
    svg.setAttribute("preserveAspectRatio", "none");
    for (const window of row.windows) {
      const box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      for (const name of ["x", "y", "width", "height"]) box.setAttribute(name, window[name]);
      svg.append(box);
    }
    if (!layers.windows) svg.setAttribute("hidden", "");
    return svg;
  }

  function toggles(i, row) {
    const button = (name, text, key) => {
      const toggler = el("button", { type: "button", id: `toggle-${name}`, "aria-pressed": String(layers[name]), title: `${text} (${key})` }, text);
      toggler.onclick = () => toggle(name);
      return toggler;
    };
    const flipper = el("button", { type: "button", title: "Before and after (space)" }, "Flip");
    flipper.onclick = flip;
    const count = row.windows.length;
    return el("div", { class: "toggles" }, flipper, button("damage", "Damage", "D"), button("windows", `${count} window${count === 1 ? "" : "s"}`, "W"));
  }

  function toggle(name) {
    layers[name] = !layers[name];
    document.querySelector(`.layer.${name}`)?.toggleAttribute("hidden", !layers[name]);
    by(`toggle-${name}`)?.setAttribute("aria-pressed", String(layers[name]));
  }

  function flip() {
    const compare = by("compare");
    if (!compare) return;
    compare.value = compare.value > 50 ? 0 : 100;
    by("divider").value = compare.value;
  }

  const message = (row) => (row.error_code ? el("p", { class: "message" }, el("b", {}, row.error_code), " ", row.error_message) : null);

  function figures(row) {
    const values = row.figures ?? {};
    const known = Object.entries(get("run").figure_charts).filter(([name]) => values[name] !== null && values[name] !== undefined);
    if (!known.length) return null;
    return el("dl", { class: "figures" }, ...known.map(([name, { title, note, digits }]) => el("div", { title: note }, el("dt", {}, title), el("dd", {}, number(values[name], digits)))));
  }

  /** Where the files are, and what the manifest's own columns say of the photo. */
  function links(row) {
    const places = { source: ["image", row.image], mask: ["mask", row.mask], output: ["output", row.output] };
    const extra = Object.entries(row).filter(([name, value]) => name.startsWith("x_") && value);
    const values = { ...Object.fromEntries(extra.map(([name, value]) => [name.slice(2), ["", value]])), ...places };
    const known = Object.fromEntries(Object.entries(values).filter(([, [, text]]) => text));
    return table(known, (_, [name, text]) => (row.links[name] ? link(row.links[name], text) : text));
  }

  function seconds(row) {
    const spent = Object.entries(row.seconds ?? {}).filter(([, value]) => value);
    return spent.length ? el("p", { class: "seconds" }, spent.map(([name, value]) => `${name} ${duration(value)}`).join(" · ")) : null;
  }

  function tables(row) {
    const { recipe, overrides, figures: _, seconds: __, links: ___, image, mask, output, error_code, error_message, windows: boxes, ...rest } = row;
    const more = (title, values) => el("details", {}, el("summary", {}, title), table(values));
    const settings = recipe ? [more("Recipe", JSON.parse(recipe))] : [];
    const changed = overrides && overrides !== "{}" ? [el("div", {}, el("h3", {}, "This row's own settings"), table(JSON.parse(overrides)))] : [];
    return [...changed, more("Row", { ...rest, windows: boxes }), ...settings];
  }

  const go = (i) => i !== null && (location.hash = address(i));

  function close() {
    const from = current;
    current = null;
    if (dialog.open) dialog.close();
    if (location.hash) history.pushState(null, "", "#");
    if (from !== null) focus(from);
  }

  /** `#item_id` opens that photo, so that it can be linked to. */
  function route() {
    let wanted = location.hash.slice(1);
    try {
      wanted = decodeURIComponent(wanted);
    } catch {
      // a hash that is not encoded is taken as it is
    }
    if (!wanted) return close();
    if (positions.has(wanted)) return show(positions.get(wanted));
    by("count").textContent = `“${wanted}” is not listed on this page.`;
  }

  /** A control in focus keeps the keys that it uses itself. */
  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (!dialog.open) {
      if (event.key === "/" && !event.target.closest("input, select")) {
        event.preventDefault();
        by("search").focus();
      }
      return;
    }
    const used = event.target.closest("input, button, a, summary");
    const actions = { ArrowLeft: () => go(neighbour(current, -1)), ArrowRight: () => go(neighbour(current, 1)), " ": flip, d: () => toggle("damage"), w: () => toggle("windows") };
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const taken = used && (used.id === "divider" ? event.key.startsWith("Arrow") : event.key === " ");
    if (!action || taken) return;
    event.preventDefault();
    action();
  }

  by("previous").onclick = () => go(neighbour(current, -1));
  by("next").onclick = () => go(neighbour(current, 1));
  by("close").onclick = close;
  dialog.addEventListener("cancel", (event) => (event.preventDefault(), close()));
  dialog.addEventListener("click", (event) => event.target === dialog && close());
  document.addEventListener("keydown", key);
  addEventListener("hashchange", route);
  route();
})();
