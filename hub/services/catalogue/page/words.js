// The words of the scripts, in the language of the page; {name} is replaced.
const WORDS = {
  en: {
    nowhere: "Anywhere on Earth", box: "Box: {box}", shape: "Shape: {name}", reading: "Reading {name} …",
    large: "{name} has more than 3 MiB: simplify it, or search in a notebook: gl.search(…, intersects=\"{name}\").",
    needbox: "Give all four coordinates: longitudes from -180 to 180, latitudes from -90 to 90, south below north.",
    backwards: "The period ends before it begins: change From or To.", searching: "Searching …",
    found: "{shown} of {all} products, the latest first.", more_than: "more than {shown}",
    nothing: "Nothing found: use a larger box, a longer time, or allow more clouds.",
    login: "Log in", to_search: " to search: the address of this page keeps the search.", clouds: "{n} % clouds",
    close: "Close", zoom: "Show on the map", notebook: "Open in a notebook", command: "To download it, in a terminal of the lab:",
    files: "Files", no_picture: "This product has no picture.", when: "Time", image: "Image on the map", no_image: "none", opacity: "Opacity",
    without: "Without {bands}:",
    no_property: "Choose the property that {value} is for, or clear the field.", no_number: "{property} is a number, and {value} is none.",
    search_first: "Search first: what is shown is what is saved.", long_search: "The address of this search is too long to be kept: use a box or fewer corners.",
    not_known: "This address asks for what is not here, or not for you: {what}. Nothing was searched: choose in the form, then search.",
    no_dates: "Their dates cannot be shown:", not_drawn: "The image cannot be drawn:", again: "Try again",
    apart: "the services of this lab have host names of their own, and this page asks no other one. A notebook shows it.", no_map: "it has no band with a map.", no_imagery: "No image on the map:",
    lost: "The product of this address is not in the catalogue, or not for you.",
    contrast: "Contrast", low: "Darkest", high: "Brightest", gamma: "Gamma", usual: "As usual", legend: "Colours of {way}",
    click: "Click on the image for the values of all bands.", middle: "Values in the middle", place: "{date} · latitude {lat}, longitude {lon}",
    reading_values: "Reading the values …", no_data: "no data",
    second: "Compare with another date", no_second: "no other date", swipe: "Left {first}, right {second}: move the line", no_way: "{way} cannot be drawn for {date}.",
    day: "Day", calendar: "Calendar", month_before: "The month before", month_after: "The month after", one_product: "{n} product", products: "{n} products", latest_alone: "The latest {n} products are here.",
    keep: "Into the basket", unkeep: "Out of the basket", in_basket: "In the basket: {id}", remove: "Out of the basket: {id}",
    no_basket: "Put products here with +: to download, open or process them together.", full: "A basket holds {n} products.",
    open_cube: "Open as a cube", process: "Process", export: "Save as STAC", empty: "Empty", share: "Address of this basket, to share it",
    download: "Download", parts: "Only these bands (empty: whole products)", inside: "Only the box of the search",
    fetch: "Download in a notebook", terminal: "Or in a terminal of the lab:",
    quota: "Products of the datalake count against no quota; those that only the portal has do: the notebook says what is left.",
    save_search: "Save this search", search_name: "Name", forget: "Forget the search {name}", feed: "New products (feed)", feed_of: "Feed of new products: {name}",
    no_place: "No place of this name in the list: another name, a tile such as 31TCJ, or draw it.", tile: "Tile {tile}", around: "Around {name}",
    corner_by_corner: "Click or tap corner by corner; the button, a double click or Enter ends it, Escape gives up.", finish: "Finish ({n})",
    no_polygon: "No polygon: it needs three corners.", polygon_of: "Polygon with {n} corners",
    needcorners: "Give 3 to {n} corners, one a line: longitude (-180 to 180), a space, latitude (-90 to 90).",
    beyond: "A polygon must not cross longitude 180: make two searches, or use a box.",
    measure_map: "On the map", measure_clear: "Clear", measure_places: "Places, one a line: longitude latitude", measure_use: "Measure",
    measure_wrong: "Give 2 to {n} places, one a line: longitude (-180 to 180), a space, latitude (-90 to 90).", distance: "Distance: {km} km",
    mails: "Mails", mails_of: "Mails about new products: {name}", reader: "Address for a feed reader", reader_of: "Address for a feed reader: {name}",
    once: "Shown once: who has this address reads this feed as you, and nothing else.", until: "A key until {until}", revoke: "Take back",
    mail_address: "Mails about new products to", mail_give: "Confirm by a mail", mail_forget: "Forget the address, and send no more mails", mail_sent: "A mail was sent to {to}: open the link in it.",
    mail_known: "{to} is confirmed: choose above which searches have mails.", mail_open: "{to} is not confirmed yet: open the link in the mail.", confirmed: "The address is confirmed.",
    no_condition: "Without the condition {words}",
    save_script: "Save as a script", fewer: "{n} products of the basket are not in the catalogue, or not for you.",
  },
  fr: {
    nowhere: "Partout sur Terre", box: "Rectangle : {box}", shape: "Forme : {name}", reading: "Lecture de {name} …",
    large: "{name} fait plus de 3 Mio : simplifiez-le, ou cherchez dans un notebook : gl.search(…, intersects=\"{name}\").",
    needbox: "Donnez les quatre coordonnées : longitudes de -180 à 180, latitudes de -90 à 90, le sud sous le nord.",
    backwards: "La période finit avant de commencer : changez Du ou Au.", searching: "Recherche …",
    found: "{shown} produits sur {all}, les plus récents d'abord.", more_than: "plus de {shown}",
    nothing: "Rien trouvé : agrandissez le rectangle ou la période, ou acceptez plus de nuages.",
    login: "Connectez-vous", to_search: " pour chercher : l'adresse de cette page garde la recherche.", clouds: "{n} % de nuages",
    close: "Fermer", zoom: "Montrer sur la carte", notebook: "Ouvrir dans un notebook", command: "Pour le télécharger, dans un terminal du lab :",
    files: "Fichiers", no_picture: "Ce produit n'a pas d'image.", when: "Date", image: "Image sur la carte", no_image: "aucune", opacity: "Opacité",
    without: "Sans {bands} :",
    no_property: "Choisissez la propriété qui doit être {value}, ou videz le champ.", no_number: "{property} est un nombre, et {value} n'en est pas un.",
    search_first: "Cherchez d'abord : c'est la recherche affichée qui est gardée.", long_search: "L'adresse de cette recherche est trop longue pour être gardée : prenez un rectangle ou moins de coins.",
    not_known: "Cette adresse demande ce qui n'est pas ici, ou pas pour vous : {what}. Rien n'a été cherché : choisissez dans le formulaire, puis cherchez.",
    no_dates: "Leurs dates ne peuvent pas être montrées :", not_drawn: "L'image ne peut pas être dessinée :", again: "Réessayer",
    apart: "les services de ce lab ont chacun leur nom d'hôte, et cette page n'en interroge aucun autre. Un notebook la montre.", no_map: "il n'a aucune bande avec une carte.", no_imagery: "Pas d'image sur la carte :",
    lost: "Le produit de cette adresse n'est pas dans le catalogue, ou pas pour vous.",
    contrast: "Contraste", low: "Le plus sombre", high: "Le plus clair", gamma: "Gamma", usual: "Comme d'habitude", legend: "Couleurs : {way}",
    click: "Cliquez sur l'image pour les valeurs de toutes les bandes.", middle: "Valeurs au milieu", place: "{date} · latitude {lat}, longitude {lon}",
    reading_values: "Lecture des valeurs …", no_data: "pas de donnée",
    second: "Comparer à une autre date", no_second: "aucune autre date", swipe: "À gauche {first}, à droite {second} : déplacez la ligne", no_way: "{way} ne peut pas être dessiné pour {date}.",
    day: "Jour", calendar: "Calendrier", month_before: "Le mois d'avant", month_after: "Le mois d'après", one_product: "{n} produit", products: "{n} produits", latest_alone: "Les {n} produits les plus récents sont ici.",
    keep: "Mettre au panier", unkeep: "Sortir du panier", in_basket: "Dans le panier : {id}", remove: "Sortir du panier : {id}",
    no_basket: "Mettez-y des produits par + pour les télécharger, les ouvrir ou les traiter ensemble.", full: "Un panier contient {n} produits.",
    open_cube: "Ouvrir en cube", process: "Traiter", export: "Enregistrer en STAC", empty: "Vider", share: "Adresse de ce panier, pour le partager",
    download: "Télécharger", parts: "Seulement ces bandes (vide : produits entiers)", inside: "Seulement le rectangle de la recherche",
    fetch: "Télécharger dans un notebook", terminal: "Ou dans un terminal du lab :",
    quota: "Les produits du datalake ne comptent dans aucun quota ; ceux que seul le portail a comptent : le notebook dit ce qui reste.",
    save_search: "Garder cette recherche", search_name: "Nom", forget: "Oublier la recherche {name}", feed: "Nouveautés (flux)", feed_of: "Flux des nouveautés : {name}",
    no_place: "Aucun lieu de ce nom dans la liste : un autre nom, une tuile comme 31TCJ, ou dessinez-le.", tile: "Tuile {tile}", around: "Autour de {name}",
    corner_by_corner: "Cliquez ou touchez coin par coin ; le bouton, un double clic ou Entrée termine, Échap abandonne.", finish: "Terminer ({n})",
    no_polygon: "Pas de polygone : il faut trois coins.", polygon_of: "Polygone de {n} coins",
    needcorners: "Donnez 3 à {n} coins, un par ligne : longitude (-180 à 180), une espace, latitude (-90 à 90).",
    beyond: "Un polygone ne doit pas passer la longitude 180 : faites deux recherches, ou prenez un rectangle.",
    measure_map: "Sur la carte", measure_clear: "Effacer", measure_places: "Lieux, un par ligne : longitude latitude", measure_use: "Mesurer",
    measure_wrong: "Donnez 2 à {n} lieux, un par ligne : longitude (-180 à 180), une espace, latitude (-90 à 90).", distance: "Distance : {km} km",
    mails: "Mails", mails_of: "Mails sur les nouveautés : {name}", reader: "Adresse pour un lecteur de flux", reader_of: "Adresse pour un lecteur de flux : {name}",
    once: "Montrée une fois : qui a cette adresse lit ce flux comme vous, et rien d'autre.", until: "Une clé jusqu'au {until}", revoke: "Révoquer",
    mail_address: "Mails sur les nouveautés à", mail_give: "Confirmer par un mail", mail_forget: "Oublier l'adresse, et ne plus envoyer de mails", mail_sent: "Un mail est parti à {to} : ouvrez le lien qu'il contient.",
    mail_known: "{to} est confirmée : choisissez ci-dessus les recherches à suivre par mail.", mail_open: "{to} n'est pas encore confirmée : ouvrez le lien du mail.", confirmed: "L'adresse est confirmée.",
    no_condition: "Sans la condition {words}",
    save_script: "Enregistrer le script", fewer: "{n} produits du panier ne sont pas dans le catalogue, ou pas pour vous.",
  },
};

// Ways to draw a product that have a word; others are shown by their name.
const WAYS = {
  en: { "true-colour": "True colour", "false-colour": "False colour", "short-wave-infrared": "Short-wave infrared", ndvi: "NDVI", ndwi: "NDWI", ndsi: "NDSI", nbr: "NBR", "radar-ratio": "VV, VH and their ratio",
    "gamma0-vv-decibel": "VV (γ0, dB)", "gamma0-vh-decibel": "VH (γ0, dB)", "gamma0-hh-decibel": "HH (γ0, dB)", "gamma0-hv-decibel": "HV (γ0, dB)", "vv-decibel": "VV (dB)", "vh-decibel": "VH (dB)", "hh-decibel": "HH (dB)", "hv-decibel": "HV (dB)" },
  fr: { "true-colour": "Couleurs naturelles", "false-colour": "Fausses couleurs", "short-wave-infrared": "Infrarouge court", ndvi: "NDVI", ndwi: "NDWI", ndsi: "NDSI", nbr: "NBR", "radar-ratio": "VV, VH et leur rapport",
    "gamma0-vv-decibel": "VV (γ0, dB)", "gamma0-vh-decibel": "VH (γ0, dB)", "gamma0-hh-decibel": "HH (γ0, dB)", "gamma0-hv-decibel": "HV (γ0, dB)", "vv-decibel": "VV (dB)", "vh-decibel": "VH (dB)", "hh-decibel": "HH (dB)", "hv-decibel": "HV (dB)" },
};

// Properties that have a word; others are shown by their name.
const PROPERTIES = {
  en: { platform: "Platform", "product:type": "Product type", "processing:level": "Level", "processing:version": "Baseline", "sat:orbit_state": "Orbit direction", "sat:relative_orbit": "Relative orbit", "sar:instrument_mode": "Mode", swath: "Swath" },
  fr: { platform: "Plateforme", "product:type": "Type de produit", "processing:level": "Niveau", "processing:version": "Version de traitement", "sat:orbit_state": "Sens de l'orbite", "sat:relative_orbit": "Orbite relative", "sar:instrument_mode": "Mode", swath: "Fauchée" },
};

export const LANGUAGE = document.documentElement.lang === "fr" ? "fr" : "en";

export function say(name, values = {}) {
  return WORDS[LANGUAGE][name].replace(/\{(\w+)\}/g, (_, key) => String(values[key] ?? ""));
}

export const propertyOf = (name) => PROPERTIES[LANGUAGE][name] ?? name;

const ORBITS = { en: {}, fr: { ascending: "ascendante", descending: "descendante" } };

export const orbitOf = (state) => ORBITS[LANGUAGE][state] ?? state;

export const wayOf = (name) => WAYS[LANGUAGE][name] ?? name;

export const number = (n) => new Intl.NumberFormat(LANGUAGE, { maximumSignificantDigits: 5 }).format(n);

export function size(bytes) {
  const units = LANGUAGE === "fr" ? ["o", "ko", "Mo", "Go", "To"] : ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (bytes >= 1000 && step < units.length - 1) [bytes, step] = [bytes / 1000, step + 1];
  return `${new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: bytes < 10 && step ? 1 : 0 }).format(bytes)} ${units[step]}`;
}
