// Downloads: the rows of a chart, the tables that the page holds as files, and all in one archive.
const csvField = (value) => {
  const text = value === null || value === undefined ? "" : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
const csvOf = (rows) => {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = [columns, ...rows.map((row) => columns.map((column) => row[column]))];
  return `${lines.map((line) => line.map(csvField).join(",")).join("\n")}\n`;
};

const saveBytes = (name, parts, type) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(parts, { type }));
  link.download = name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
};

// The bytes of a table's file, null if the page has no room for it.
const fileBytes = (name) => unpackOnce(["file", name], inflate);
const heldFiles = () => index.blocks.filter(([kind]) => kind === "file").map(([, name]) => name);

// A link to a file beside the page gives the page's own copy, so that it works for a page alone.
const wireFiles = () => {
  for (const link of all('a[href^="tables/"]')) {
    const name = link.getAttribute("href").replace(/^tables\//, "");
    if (!heldFiles().includes(name)) continue;
    link.addEventListener("click", async (event) => {
      event.preventDefault();
      saveBytes(name, [await fileBytes(name)], "text/csv");
    });
  }
};

const CRC = Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});
const checksum = (bytes) => {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC[(value ^ byte) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
};
const littleEndian = (...numbers) => {
  const bytes = numbers.flatMap(([value, size]) => Array.from({ length: size }, (_, i) => (value >>> (8 * i)) & 255));
  return new Uint8Array(bytes);
};
// A ZIP archive without compression. Times are 1980-01-01, the first that the format has.
const zipOf = (files) => {
  const [parts, directory] = [[], []];
  let offset = 0;
  for (const [name, bytes] of files) {
    const encoded = new TextEncoder().encode(name);
    const entry = [[20, 2], [0x800, 2], [0, 2], [0, 2], [0x21, 2], [checksum(bytes), 4], [bytes.length, 4], [bytes.length, 4], [encoded.length, 2], [0, 2]];
    const head = littleEndian([0x04034b50, 4], ...entry);
    parts.push(head, encoded, bytes);
    directory.push(littleEndian([0x02014b50, 4], [20, 2], ...entry, [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]), encoded);
    offset += head.length + encoded.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = littleEndian([0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [size, 4], [offset, 4], [0, 2]);
  return [...parts, ...directory, end];
};

// What the charts show now, the tables that the page holds, and the study file.
const saveAll = async () => {
  const encode = (text) => new TextEncoder().encode(text);
  const files = [];
  for (const [id, rows] of drawnRows) files.push([`charts/${id}.csv`, encode(csvOf(rows))]);
  for (const name of heldFiles()) files.push([`tables/${name}`, await fileBytes(name)]);
  const study = byId("study-file");
  if (study) files.push(["study.yaml", encode(study.textContent)]);
  saveBytes(`${document.body.dataset.study}.zip`, zipOf(files), "application/zip");
  announce(`${files.length} files are saved in one archive.`);
};

const wireDownloads = () => {
  wireFiles();
  for (const button of all("[data-rows]")) {
    button.addEventListener("click", () => {
      const rows = drawnRows.get(button.dataset.rows) ?? [];
      saveBytes(`${fileName(button.dataset.rows)}.csv`, [csvOf(rows)], "text/csv");
    });
  }
  byId("save-all")?.addEventListener("click", saveAll);
};
