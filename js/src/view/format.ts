// Formats of numbers.

/** "0.4 s", "12.3 s", "2 min 05 s", "1 h 04 min". */
export function duration(seconds: number): string {
  const tenths = Math.max(0, Math.round(seconds * 10));
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`;
  const whole = Math.floor(tenths / 10);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor(whole / 60) % 60)} min`;
}

/** Short times in milliseconds, so that 3 ms are not 0.0 s. */
export function briefDuration(seconds: number): string {
  return seconds < 0.1 ? `${Math.max(0, Math.round(seconds * 1000))} ms` : duration(seconds);
}

/** "12,345", the same in every locale. */
export function count(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** US dollars, with more digits for small amounts. */
export function dollars(value: number): string {
  if (value === 0) return "$0";
  const digits = Math.abs(value) >= 1 ? 2 : Math.abs(value) >= 0.01 ? 3 : 5;
  return `$${value.toFixed(digits).replace(/(\.\d\d\d*?)0+$/, "$1")}`;
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}
