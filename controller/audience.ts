/** Members by the key of what they are given, so that a change of it reaches them and nobody else is even looked at. */
export interface Audience<T> {
  /** Moves a member; its former key is forgotten. */
  join(member: T, key: string): void;
  leave(member: T): void;
  of(key: string): Iterable<T>;
}

export function createAudience<T>(): Audience<T> {
  const members = new Map<string, Set<T>>();
  const keys = new Map<T, string>();

  function leave(member: T): void {
    const key = keys.get(member);
    if (key === undefined) return;
    keys.delete(member);
    const group = members.get(key);
    group?.delete(member);
    if (group?.size === 0) members.delete(key);
  }

  return {
    leave,
    join(member, key) {
      if (keys.get(member) === key) return;
      leave(member);
      keys.set(member, key);
      const group = members.get(key) ?? new Set<T>();
      members.set(key, group.add(member));
    },
    of: (key) => members.get(key) ?? [],
  };
}
