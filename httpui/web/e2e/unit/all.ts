import "./format";
import "./layout";
import "./pages";
import "./spans";
import "./views";
import { tests } from "./check";

const results = tests.map(({ name, run }) => {
  try {
    run();
    return { name, error: "" };
  } catch (err) {
    return { name, error: String(err) };
  }
});

Object.assign(globalThis, { unitResults: results });
