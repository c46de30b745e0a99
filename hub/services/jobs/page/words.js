// The words of the scripts, in the language of the page; {name} is replaced.
const WORDS = {
  en: {
    together: "all dates together", product: "each product", "1MS": "each month", "10D": "each 10 days", W: "each week",
    QS: "each quarter", YS: "each year", nowhere: "No region: whole products.", box: "Box: {box}", shape: "Shape: {name}",
    reading: "Reading {name} …", large: "{name} has more than 3 MiB: simplify it.",
    zonesfile: "Zones are kept apart only in a GeoJSON file of polygons: convert {name}.",
    notgeojson: "{name} is no GeoJSON of polygons.", zones: "{count} zones: {name}", needbox: "Give all four coordinates, west and east, south and north, in this order.",
    needzones: "This process needs zones: draw a box, or choose a GeoJSON file of polygons.", onmap: "The shapes on the map.",
    needdates: "To have one result for each part of a time, give both dates.", none: "—", list: "{text} Several with commas.",
    none_of: "No collection", auto: "automatic: {epsg}", checking: "Checking …", starting: "Starting …", choose: "Choose other products",
    began: "The job has begun. Units: {units}.", kept: "The same {count} products as of “{job}”.", keptsearch: "The same search as of “{job}”.",
    basket: "{count} products of the catalogue's basket.", noaddress: "The address of this page names no products that can be read: choose them here.",
    filled: "The form is as it was for “{job}”: change it, or start.", planning: "Planning in your own server of jobs: the first time it takes half a minute …",
    caption: "What the job will cost", units: "Units", products: "Products", bytes: "To read", hours: "Core-hours", result: "Result before compression",
    time: "Time to expect", cost: "Cost", quota: "Of your quota of this month", after: "{used} used, {needs} for this job, of {limit}",
    after_unknown: "{needs} for this job, of {limit}", over: "This is more than is left: the job would stop before its end.", core_hours: "core-hours", read: "reads",
    some: "{planned} of {units} planned, the others alike", unplanned: "No plan was made: {why}", minutes: "{n} min", seconds: "{n} s", h: "{n} h",
    accepted: "waits", running: "runs", successful: "done", failed: "failed", dismissed: "cancelled", nojobs: "You have no jobs yet.",
    once: "now, once", each_product: "for each new product", each_1MS: "for each month", each_10D: "for each 10 days", schedule: "Begin by itself", start: "Start the job",
    needsearch: "What begins by itself needs a search: choose other products.", scheduled: "The schedule is kept.", needregion: "Each period gives one map: draw a region.", active: "active", stopped: "stopped", removed: "removed",
    lastrun: "last job: {when}", neverrun: "no job yet", nextrun: "next look: {when}", begun: "{jobs} jobs", unschedule: "Remove the schedule {name}",
    notjson: "{name} is no JSON: write {\"name\": value}.", cells: "{done} of {total} cells",
    done: "{done} of {total} units", running_now: "{running} running", failed_now: "{failed} failed",
    log: "Log", hide: "Hide the log", cancel: "Cancel", retry: "Try again what failed", again: "Run again", notebook: "Open in a notebook", show: "Results on the map", remove: "Remove from the list",
    failures: "Units that failed", unit: "{unit} ({attempts} attempts): {reason}", noresults: "No result has a place on a map.", incatalogue: "In the catalogue", progress: "Progress of {job}",
    login: "Log in again", lost: "The service does not answer; it is asked again.", cog: "a GeoTIFF of each tile and date", zarr: "one cube (Zarr)", byprocess: "as the process does by itself",
    default_into: "as the process: {id}",
  },
  fr: {
    together: "pour toutes les dates ensemble", product: "par produit", "1MS": "par mois", "10D": "tous les 10 jours", W: "par semaine",
    QS: "par trimestre", YS: "par an", nowhere: "Sans région : produits entiers.", box: "Rectangle : {box}", shape: "Forme : {name}",
    reading: "Lecture de {name} …", large: "{name} fait plus de 3 Mio : simplifiez-le.",
    zonesfile: "Seul un fichier GeoJSON de polygones garde les zones séparées : convertissez {name}.",
    notgeojson: "{name} n'est pas un GeoJSON de polygones.", zones: "{count} zones : {name}", needbox: "Donnez les quatre coordonnées, ouest puis est, sud puis nord, dans cet ordre.",
    needzones: "Ce traitement demande des zones : dessinez un rectangle, ou choisissez un fichier GeoJSON de polygones.", onmap: "Les formes sur la carte.",
    needdates: "Pour un résultat par partie du temps, donnez les deux dates.", none: "—", list: "{text} Plusieurs séparés par des virgules.",
    none_of: "Aucune collection", auto: "automatique : {epsg}", checking: "Vérification …", starting: "Lancement …", choose: "Choisir d'autres produits",
    began: "Le traitement est lancé. Unités : {units}.", kept: "Les mêmes {count} produits que « {job} ».", keptsearch: "La même recherche que « {job} ».",
    basket: "{count} produits du panier du catalogue.", noaddress: "L'adresse de cette page ne nomme pas de produits lisibles : choisissez-les ici.",
    filled: "Le formulaire est comme pour « {job} » : changez-le, ou lancez.", planning: "Estimation dans votre propre serveur de traitements : la première fois, une demi-minute …",
    caption: "Ce que le traitement coûtera", units: "Unités", products: "Produits", bytes: "À lire", hours: "Heures-cœur", result: "Résultat avant compression",
    time: "Durée probable", cost: "Coût", quota: "De votre quota de ce mois", after: "{used} utilisés, {needs} pour ce traitement, sur {limit}",
    after_unknown: "{needs} pour ce traitement, sur {limit}", over: "C'est plus que ce qui reste : le traitement s'arrêterait avant la fin.", core_hours: "heures-cœur", read: "lectures",
    some: "{planned} sur {units} estimées, les autres semblables", unplanned: "Pas d'estimation : {why}", minutes: "{n} min", seconds: "{n} s", h: "{n} h",
    accepted: "attend", running: "en cours", successful: "terminé", failed: "échoué", dismissed: "annulé", nojobs: "Vous n'avez pas encore de traitement.",
    once: "maintenant, une fois", each_product: "à chaque nouveau produit", each_1MS: "chaque mois", each_10D: "tous les 10 jours", schedule: "Programmer", start: "Lancer le traitement",
    needsearch: "Un traitement programmé demande une recherche : choisissez d'autres produits.", scheduled: "Le traitement est programmé.", needregion: "Chaque période donne une carte : dessinez une région.", active: "actif", stopped: "arrêté", removed: "retiré",
    lastrun: "dernier traitement : {when}", neverrun: "aucun traitement encore", nextrun: "prochain passage : {when}", begun: "traitements : {jobs}", unschedule: "Retirer la programmation {name}",
    notjson: "{name} n'est pas du JSON : écrivez {\"nom\": valeur}.", cells: "{done} cellules sur {total}",
    done: "{done} unités sur {total}", running_now: "{running} en cours", failed_now: "{failed} en échec",
    log: "Journal", hide: "Masquer le journal", cancel: "Annuler", retry: "Réessayer ce qui a échoué", again: "Relancer", notebook: "Ouvrir dans un notebook", show: "Résultats sur la carte", remove: "Retirer de la liste",
    failures: "Unités en échec", unit: "{unit} ({attempts} essais) : {reason}", noresults: "Aucun résultat n'a de place sur une carte.", incatalogue: "Dans le catalogue", progress: "Avancement de {job}",
    login: "Se reconnecter", lost: "Le service ne répond pas ; nouvelle tentative.", cog: "un GeoTIFF par tuile et date", zarr: "un seul cube (Zarr)", byprocess: "selon le traitement",
    default_into: "comme le traitement : {id}",
  },
};

export const LANGUAGE = document.documentElement.lang === "fr" ? "fr" : "en";

export function say(name, values = {}) {
  return WORDS[LANGUAGE][name].replace(/\{(\w+)\}/g, (_, key) => String(values[key] ?? ""));
}

const number = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 2 });
export const figure = (value) => number.format(value);

export function size(bytes) {
  const units = LANGUAGE === "fr" ? ["o", "ko", "Mo", "Go", "To", "Po"] : ["B", "kB", "MB", "GB", "TB", "PB"];
  let step = 0;
  while (bytes >= 1000 && step < units.length - 1) [bytes, step] = [bytes / 1000, step + 1];
  return `${new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: bytes < 10 && step ? 1 : 0 }).format(bytes)} ${units[step]}`;
}

export function lasting(seconds) {
  if (seconds < 90) return say("seconds", { n: Math.max(Math.round(seconds), 1) });
  return seconds < 5400 ? say("minutes", { n: Math.round(seconds / 60) }) : say("h", { n: figure(Math.round(seconds / 360) / 10) });
}

export const moment = (text) => (text ? new Date(text).toLocaleString(LANGUAGE, { dateStyle: "medium", timeStyle: "short" }) : "");
