// Icons as elements, so that nothing is loaded. Each is 20 by 20, in the text's
// colour, and hidden from screen readers.

import type { ComponentChildren } from "preact";

const icon = (children: ComponentChildren) => () => (
  <svg viewBox="0 0 20 20" width="20" height="20" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">{children}</svg>
);

export const Bell = icon(<><path d="M10 2.8a4.7 4.7 0 0 0-4.7 4.7c0 4.3-1.8 5.6-1.8 5.6h13s-1.800-1.300-1.800-5.600A4.700 4.700 0 0 0 10 2.800z" /><path d="M8.400 16.200a1.800 1.800 0 0 0 3.200 0" /></>);
export const People = icon(<><circle cx="7.400" cy="6.800" r="2.800" /><path d="M2.400 16c.4-2.900 2.300-4.500 5-4.500s4.600 1.600 5 4.500" /><path d="M12.600 4.400a2.600 2.600 0 0 1 0 5M14.200 11.900c1.900.5 3.100 1.900 3.400 4.100" /></>);
export const Menu = icon(<path d="M3.500 5.500h13M3.500 10h13M3.500 14.500h13" />);
export const Close = icon(<path d="M5 5l10 10M15 5L5 15" />);
export const Plus = icon(<path d="M10 4.200v11.600M4.200 10h11.600" />);
export const Search = icon(<><circle cx="9" cy="9" r="5.200" /><path d="M13 13l3.800 3.800" /></>);
export const Send = icon(<path d="M3.300 9.900L16.700 3.600l-4.600 13-3-5.300z M9.100 11.300l3.500-3.500" />);
export const Gear = icon(<><path d="M3 5.800h8.500M15.500 5.800H17M3 14.200h1.500M8.500 14.200H17" /><circle cx="13.500" cy="5.800" r="2" /><circle cx="6.500" cy="14.200" r="2" /></>);
export const Reply = icon(<path d="M8 4.500L3.500 9 8 13.500M3.500 9h7.500c3.400 0 5.500 2 5.500 6" />);
export const Pencil = icon(<path d="M12.800 3.900l3.300 3.300L7 16.300l-4 .7.700-4z" />);
export const Bin = icon(<path d="M4 5.500h12M8 5.500V3.600h4v1.900M5.400 5.500l.8 11h7.600l.8-11M8.500 8.800v4.700M11.500 8.800v4.700" />);
export const Down = icon(<path d="M10 4v12M5 11l5 5 5-5" />);
export const Clock = icon(<><circle cx="10" cy="10" r="6.500" /><path d="M10 6.300V10l2.500 1.600" /></>);
export const Alert = icon(<><circle cx="10" cy="10" r="7" /><path d="M10 6.200v4.600M10 13.700v.1" /></>);
export const Tick = icon(<path d="M4.500 10.500l3.700 3.700 7.300-8" />);
export const Help = icon(<><circle cx="10" cy="10" r="7" /><path d="M8 8c.1-1.200.9-1.900 2-1.900s2 .7 2 1.800c0 1.500-2 1.600-2 3.100M10 13.700v.1" /></>);
export const Lock = icon(<><rect x="4.500" y="9" width="11" height="7.500" rx="1.800" /><path d="M7 9V6.500a3 3 0 0 1 6 0V9" /></>);
export const Link = icon(<path d="M8.200 11.800a3.200 3.200 0 0 0 4.600 0l2.700-2.700a3.200 3.200 0 0 0-4.600-4.600l-1 1M11.800 8.200a3.200 3.200 0 0 0-4.600 0l-2.700 2.700a3.200 3.200 0 0 0 4.600 4.600l1-1" />);
