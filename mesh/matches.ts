/** HTTP conditions: checked against RE2, compared, ordered and merged. */
import { RE2JS } from 're2js';
import type { HttpRouteGroupObject, HttpRouteMatchObject } from './objects.ts';
import { compareText, sortedSet } from './order.ts';
import { type Problem, refOf } from './problem.ts';
import type { HttpMatch } from './view.ts';

/** What matches every request. */
export const ANY_REQUEST: HttpMatch = { pathRegex: '.*', methods: [], headers: [] };

export function matchKey(match: HttpMatch): string {
  return JSON.stringify([match.pathRegex, match.methods, match.headers.map(({ name, regex }) => [name, regex])]);
}

/** A token of HTTP, or a pseudo header such as `:authority`. Envoy refuses all routes over some of the others. */
const HEADER_NAME = /^:?[!#$%&'*+.^_`|~0-9a-z-]+$/;

/** Undefined, with a problem, when RE2 refuses one of its expressions: Envoy would refuse the whole configuration. */
export function buildMatch(
  group: HttpRouteGroupObject,
  index: number,
  object: HttpRouteMatchObject,
  problems: Problem[],
): HttpMatch | undefined {
  const field = `spec.matches[${index}]`;
  const headers = Object.entries(object.headers)
    .map(([name, regex]) => ({ name: name.toLowerCase(), regex }))
    .sort((a, b) => compareText(a.name, b.name));
  // An empty path was every path in OSM, too.
  const pathRegex = object.pathRegex === '' ? ANY_REQUEST.pathRegex : object.pathRegex;
  const expressions = [
    { field: `${field}.pathRegex`, regex: pathRegex },
    ...headers.map(({ name, regex }) => ({ field: `${field}.headers.${name}`, regex })),
  ];
  let valid = true;
  for (const { name } of headers.filter((header) => !HEADER_NAME.test(header.name))) {
    valid = false;
    problems.push({
      key: 'header-name-invalid',
      object: refOf('HTTPRouteGroup', group),
      field: `${field}.headers`,
      message: `${JSON.stringify(name)} cannot be the name of a header: match "${object.name}" allows nothing.`,
      remedy: 'Correct the name.',
    });
  }
  for (const expression of expressions) {
    const reason = regexError(expression.regex);
    if (reason === undefined) continue;
    valid = false;
    problems.push({
      key: 'regex-invalid',
      object: refOf('HTTPRouteGroup', group),
      field: expression.field,
      message: `"${expression.regex}" is not a regular expression that Envoy accepts (${reason}): match "${object.name}" allows nothing.`,
      remedy: 'Correct or shorten the expression; RE2 has no look-around and no back-references.',
    });
  }
  if (!valid) return undefined;
  const methods = object.methods.includes('*') ? [] : sortedSet(object.methods);
  return { pathRegex, methods, headers };
}

/**
 * Instructions that one expression may compile to. RE2 refuses what does not fit its memory, and Envoy what is above
 * its `re2.max_program_size.error_level` (100 unless the bootstrap raises it); this stays far below both limits, as Envoy's
 * RE2 works on bytes and counts several for what is one here.
 */
const MAX_PROGRAM_SIZE = 2000;

/** Why Envoy would refuse an expression; undefined when it accepts it. */
export function regexError(regex: string): string | undefined {
  if (regex === '') return 'it is empty';
  const wide = WIDE_ESCAPE.exec(regex)?.[1];
  if (wide !== undefined) return `${wide} is more than one byte; write the character itself`;
  try {
    const size = RE2JS.compile(asBytes(regex)).programSize();
    return size > MAX_PROGRAM_SIZE ? `it compiles to ${size} instructions, more than ${MAX_PROGRAM_SIZE}` : undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Escapes above 255. What follows an even number of backslashes is none. */
const WIDE_ESCAPE = /(?<!\\)(?:\\\\)*(\\x\{0*[1-9a-f][0-9a-f]{2,}\}|\\[4-7][0-7]{2})/i;

/** Envoy matches bytes: it reads each byte of an expression as a character of Latin-1. */
function asBytes(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join('');
}

/** Compiled expressions, since the same few are compared over and over. A cache only. */
const compiled = new Map<string, RE2JS>();
const MAX_COMPILED = 2000;

/** Full match, as Envoy does it. The expression must be valid. */
export function regexMatches(regex: string, text: string): boolean {
  let expression = compiled.get(regex);
  if (expression === undefined) {
    if (compiled.size >= MAX_COMPILED) compiled.clear();
    expression = RE2JS.compile(regex);
    compiled.set(regex, expression);
  }
  return expression.matches(text);
}

const META = /[\\^$.*+?()[\]{}|]/;

interface Shape {
  readonly literal: boolean;
  /** A text that everything begins with that the expression fully matches; empty when none is easily seen. */
  readonly beginning: string;
}

/** Each expression of a policy is compared with each other one. A cache only. */
const shapes = new Map<string, Shape>();
const MAX_SHAPES = 20_000;

function shapeOf(regex: string): Shape {
  const known = shapes.get(regex);
  if (known !== undefined) return known;
  if (shapes.size >= MAX_SHAPES) shapes.clear();
  const shape = { literal: !META.test(regex), beginning: beginningOf(regex) };
  shapes.set(regex, shape);
  return shape;
}

function beginningOf(regex: string): string {
  // The other side of a bar would begin otherwise; which bars stand between brackets is not looked at.
  if (regex.includes('|')) return '';
  const [beginning = ''] = regex.split(META, 1);
  // The last letter is optional under these.
  return /[*?{]/.test(regex.charAt(beginning.length)) ? beginning.slice(0, -1) : beginning;
}

/** A text that every path begins with that the expression matches; the whole path of a literal, empty where none is easily seen. */
export function pathBeginning(regex: string): string {
  return shapeOf(regex).beginning;
}

function isLiteral(regex: string): boolean {
  return shapeOf(regex).literal;
}

/** Most specific first: literal paths, then long expressions, then `.*`; named methods before any; more headers first. */
export function compareSpecificity(a: HttpMatch, b: HttpMatch): number {
  return (
    Number(isLiteral(b.pathRegex)) - Number(isLiteral(a.pathRegex)) ||
    Number(a.pathRegex === '.*') - Number(b.pathRegex === '.*') ||
    b.pathRegex.length - a.pathRegex.length ||
    Number(a.methods.length === 0) - Number(b.methods.length === 0) ||
    b.headers.length - a.headers.length ||
    compareText(matchKey(a), matchKey(b))
  );
}

/** True when every request that `narrow` matches is certainly matched by `wide` too; false when that is not known. */
export function covers(wide: HttpMatch, narrow: HttpMatch): boolean {
  return (
    coversPath(wide.pathRegex, narrow.pathRegex) &&
    (wide.methods.length === 0 ||
      (narrow.methods.length > 0 && narrow.methods.every((method) => wide.methods.includes(method)))) &&
    wide.headers.every(({ name, regex }) =>
      narrow.headers.some((header) => header.name === name && coversPath(regex, header.regex)),
    )
  );
}

function coversPath(wide: string, narrow: string): boolean {
  if (wide === '.*' || wide === narrow) return true;
  return isLiteral(narrow) && !isLiteral(wide) && regexMatches(wide, narrow);
}

/** True when no request can match both: different methods, literals that differ, or expressions that begin differently. */
export function disjoint(a: HttpMatch, b: HttpMatch): boolean {
  if (a.methods.length > 0 && b.methods.length > 0 && !a.methods.some((method) => b.methods.includes(method)))
    return true;
  if (disjointPaths(a.pathRegex, b.pathRegex)) return true;
  return a.headers.some(({ name, regex }) =>
    b.headers.some((header) => header.name === name && disjointPaths(regex, header.regex)),
  );
}

function disjointPaths(a: string, b: string): boolean {
  if (isLiteral(a)) return isLiteral(b) ? a !== b : !regexMatches(b, a);
  if (isLiteral(b)) return !regexMatches(a, b);
  // `overlaps` relies on this: what begins differently is never compared.
  const [one, other] = [shapeOf(a).beginning, shapeOf(b).beginning];
  return !one.startsWith(other) && !other.startsWith(one);
}
