/*! Third-party code and its licences: LICENSES.txt */
import{jsx as t}from"./app.js";function r({search:n}){return t("p",{children:n})}export{r as default};
