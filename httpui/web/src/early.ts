// What must have happened before anything is painted: the theme. The rest of the
// page is a module, which runs after that.

import { applyTheme, savedTheme } from "./theme";

applyTheme(savedTheme());
