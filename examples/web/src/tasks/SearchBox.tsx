import { useEffect, useState } from "react";

const PAUSE = 200; // milliseconds without a key after which the search begins

export function SearchBox({ q, onSearch }: { q: string; onSearch: (q: string) => void }) {
  const [text, setText] = useState(q);
  useEffect(() => {
    if (text === q) return;
    const timer = setTimeout(() => onSearch(text), PAUSE);
    return () => clearTimeout(timer);
  }, [text]);
  useEffect(() => setText(q), [q]);
  return (
    <input
      type="search"
      className="search"
      aria-label="Search tasks"
      placeholder="Search"
      maxLength={100}
      value={text}
      onChange={(event) => setText(event.target.value)}
    />
  );
}
