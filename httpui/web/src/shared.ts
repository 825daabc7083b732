// What views that are loaded later share with the page: they import it from app.js
// instead of having it again. The builder reads this list. Whatever keeps a state
// must be on it.

export * from "preact";
export * from "preact/hooks";
export * from "preact/jsx-runtime";
export * from "./api";
export * from "./encoding";
export * from "./error";
export * from "./failure";
export * from "./format";
export * from "./header";
export * from "./label";
export * from "./loaded";
export * from "./measure";
export * from "./memory";
export * from "./notes";
export * from "./offline";
export * from "./period";
export * from "./route";
export * from "./service";
export * from "./size";
export * from "./statebar";
export * from "./swatch";
