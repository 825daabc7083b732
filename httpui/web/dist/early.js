/*! Third-party code and its licences: LICENSES.txt */
(()=>{function t(e){try{return localStorage.getItem("spanclock."+e)??""}catch{return""}}function r(){let e=t("theme");return e==="light"||e==="dark"?e:""}function o(e){e?document.documentElement.dataset.theme=e:delete document.documentElement.dataset.theme}o(r());})();
