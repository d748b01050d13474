/** An incident as a card: its members in the order they fired, the first one marked. */
import { h } from "../dom.js";
import { keyAddress } from "../router.js";
import { state } from "../state.js";
import { MINUTE, durationText, isoText, timeElement } from "../times.js";
import { plural } from "../words.js";

const MOST = 12;

/**
 * Create the card of an incident.
 *
 * @param {any} incident The incident.
 * @param {boolean} isChosen Whether the page was opened for it.
 */
export function incidentCard(incident, isChosen) {
  const isFiring = incident.status === "firing";
  const end = incident.ends_us ?? state.end();
  const members = [...incident.members].sort((a, b) => a.since_us - b.since_us);
  const shown = members.slice(0, MOST);
  return h(
    "article",
    { class: `card incident ${isFiring ? "is-firing" : ""} ${isChosen ? "is-chosen" : ""}`, "data-event": incident.id },
    h(
      "header",
      { class: "card-head" },
      h("span", { class: `status ${isFiring ? "firing" : "resolved"}` }, isFiring ? "fires" : "resolved"),
      h("a", { class: "card-key", href: members[0] ? memberAddress(members[0], end) : "/incidents" }, incident.summary),
      h("span", { class: "card-time" }, timeElement(incident.starts_us), ` for ${durationText(end - incident.starts_us)}`),
    ),
    incident.description && h("p", { class: "card-reason" }, incident.description),
    h(
      "p",
      { class: "card-facts" },
      h("span", {}, `${plural(incident.member_count, "key")}, ${incident.firing_count} still fire`),
      incident.page ? h("span", { class: "pages" }, "pages") : h("span", {}, "does not page"),
      incident.is_storm && h("span", { class: "pages" }, "storm: one alert for all"),
      incident.severity_class && h("span", {}, incident.severity_class),
      incident.reason && h("span", {}, incident.reason),
    ),
    h(
      "ol",
      { class: "members", "aria-label": "Members, in the order they fired" },
      shown.map((member, place) =>
        h(
          "li",
          { class: "member" },
          timeElement(member.since_us),
          h("a", { href: memberAddress(member, end) }, member.key),
          h("span", { class: "member-alert" }, member.alert ?? ""),
          place === 0 && h("span", { class: "first" }, "first"),
        ),
      ),
      members.length > MOST && h("li", { class: "quiet" }, `and ${members.length - MOST} more`),
    ),
  );
}

/**
 * @param {any} member Member of an incident.
 * @param {number} endUs End of the incident.
 */
function memberAddress(member, endUs) {
  return keyAddress(member.key, { from: isoText(member.since_us - 20 * MINUTE), to: isoText(endUs + 10 * MINUTE) });
}
