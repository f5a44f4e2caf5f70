// The page's data: deflated blocks, unpacked when they are asked for (pack.py says how they are made).
const byId = (name) => document.getElementById(name);
const all = (selector) => Array.from(document.querySelectorAll(selector));

const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

const inflated = async (id) => {
  const bytes = bytesOf(byId(id).textContent);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};
const inflatedText = async (id) => new TextDecoder().decode(await inflated(id));

let index = null;
const places = new Map();
const unpacked = new Map();

const openIndex = async () => {
  index = JSON.parse(await inflatedText("index"));
  index.blocks.forEach((key, place) => places.set(JSON.stringify(key), place));
};

// One column's codes: planes of bytes, each code told by its difference from the one before.
const codesOf = (bytes, start, rows, width) => {
  const codes = new Int32Array(rows);
  const most = 256 ** width;
  let code = 0;
  for (let row = 0; row < rows; row += 1) {
    let folded = 0;
    for (let place = 0; place < width; place += 1) {
      folded += bytes[start + place * rows + row] * 256 ** place;
    }
    const change = folded % 2 ? -(folded + 1) / 2 : folded / 2;
    code = (code + change + most) % most;
    codes[row] = code;
  }
  return codes;
};

const valueOf = (column, code) => {
  if (code === 0) return null;
  if (column.values) return column.values[code - 1];
  if (code === 1) return 0;
  const scaled = column.low + column.step * (code - 2);
  return column.log ? Math.exp(scaled) : scaled;
};

const columnsOf = (bytes) => {
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const columns = {};
  let start = 4 + length;
  for (const column of header.columns) {
    const codes = codesOf(bytes, start, header.rows, column.width);
    columns[column.name] = Array.from(codes, (code) => valueOf(column, code));
    start += header.rows * column.width;
  }
  return { rows: header.rows, columns };
};

const remembered = (key, open) => {
  const name = JSON.stringify(key);
  const place = places.get(name);
  if (place === undefined) return Promise.resolve(null);
  if (!unpacked.has(name)) unpacked.set(name, open(`block-${place}`));
  return unpacked.get(name);
};

// The cells of a table, of one statistic where it has any.
const cellsOf = async (name, statistic) => (await remembered(["table", name, statistic], async (id) => {
  const columns = JSON.parse(await inflatedText(id));
  return (columns[0] ?? []).map((_, row) => columns.map((column) => column[row]));
})) ?? [];

// The rows of a block whose columns have the wanted values, each as an object.
const rowsOf = async (key, wanted = {}) => {
  const table = await remembered(key, async (id) => columnsOf(await inflated(id)));
  if (!table) return [];
  const tests = Object.entries(wanted).map(([name, value]) => [table.columns[name], value]);
  const names = Object.keys(table.columns);
  const rows = [];
  for (let row = 0; row < table.rows; row += 1) {
    if (tests.every(([column, value]) => column[row] === value)) {
      rows.push(Object.fromEntries(names.map((name) => [name, table.columns[name][row]])));
    }
  }
  return rows;
};
