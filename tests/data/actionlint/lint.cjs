// Runs actionlint over workflows: node lint.cjs FILE... prints what it finds as JSON, a line each.
// The package's own command reads a project's folder; this calls the program in it, by Go's own loader (wasm_exec.js).
const fs = require("fs");
const path = require("path");
const package_ = path.join(__dirname, "node_modules", "@tktco", "node-actionlint");
globalThis.throwError = (message) => { throw new Error(message); };
require(path.join(package_, "wasm_exec.js"));

(async () => {
  const go = new Go();
  const { instance } = await WebAssembly.instantiate(fs.readFileSync(path.join(package_, "main.wasm")), go.importObject);
  go.run(instance);
  for (const file of process.argv.slice(2)) {
    const found = await runActionlint(fs.readFileSync(file, "utf8"), `.github/workflows/${path.basename(file)}`);
    for (const each of found) console.log(JSON.stringify({ file: path.basename(file), ...each }));
  }
  console.log(JSON.stringify({ linted: process.argv.length - 2 }));
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(2); });
