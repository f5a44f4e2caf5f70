// The page's data: compressed blocks, each unpacked when it is first needed (see pack.py).
const byId = (name) => document.getElementById(name);
const all = (selector) => Array.from(document.querySelectorAll(selector));

// Base85 in the alphabet of pack.py: five letters hold four bytes, and a shorter end holds fewer.
const LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%.()*+-;,=/?@^_`{|}~";
const DIGITS = new Uint8Array(128);
Array.from(LETTERS, (letter, digit) => { DIGITS[letter.charCodeAt(0)] = digit; });

const bytesOf = (text) => {
  const groups = Math.ceil(text.length / 5);
  const view = new DataView(new ArrayBuffer(4 * groups));
  for (let group = 0; group < groups; group += 1) {
    let value = 0;
    for (let at = 5 * group; at < 5 * group + 5; at += 1) {
      value = 85 * value + (at < text.length ? DIGITS[text.charCodeAt(at)] : 84);
    }
    view.setUint32(4 * group, value);
  }
  return new Uint8Array(view.buffer, 0, text.length - groups);
};

const inflate = async (id) => {
  const bytes = bytesOf(byId(id).textContent);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};
const inflateText = async (id) => new TextDecoder().decode(await inflate(id));

let index = null;
const blockNumbers = new Map();
const unpacked = new Map();

const openIndex = async () => {
  index = JSON.parse(await inflateText("index"));
  index.blocks.forEach((key, number) => blockNumbers.set(JSON.stringify(key), number));
};

// The codes of one column: planes of bytes that hold the differences from one code to the next.
const codesOf = (bytes, start, rows, width) => {
  const codes = new Int32Array(rows);
  const range = 256 ** width;
  let code = 0;
  for (let row = 0; row < rows; row += 1) {
    let folded = 0;
    for (let plane = 0; plane < width; plane += 1) {
      folded += bytes[start + plane * rows + row] * 256 ** plane;
    }
    const change = folded % 2 ? -(folded + 1) / 2 : folded / 2;
    code = (code + change + range) % range;
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

// Unpacks the block with this key once; null if the page has no such block.
const unpackOnce = (key, unpack) => {
  const name = JSON.stringify(key);
  const number = blockNumbers.get(name);
  if (number === undefined) return Promise.resolve(null);
  if (!unpacked.has(name)) unpacked.set(name, unpack(`block-${number}`));
  return unpacked.get(name);
};

// The rows of a table, each as a list of values; of one statistic if the table has several.
const tableRows = async (name, statistic) => (await unpackOnce(["table", name, statistic], async (id) => {
  const columns = JSON.parse(await inflateText(id));
  return (columns[0] ?? []).map((_, row) => columns.map((column) => column[row]));
})) ?? [];

// The rows of a block whose columns have the wanted values, each as an object.
const rowsOf = async (key, wanted = {}) => {
  const table = await unpackOnce(key, async (id) => columnsOf(await inflate(id)));
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
