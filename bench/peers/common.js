// Code shared by the Node peers: pool and statements. The cursor is the id of the last task, because a Date has only
// milliseconds. `pg` returns a bigint as a string by default.
import pg from "pg";

pg.types.setTypeParser(pg.types.builtins.INT8, Number);

export const secret = process.env.BETTER_AUTH_SECRET;
export const port = Number(process.env.PORT);
export const maxId = Number.MAX_SAFE_INTEGER;

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 15 });
// Named statements, which `pg` prepares once per connection.
const query = async (name, text, values) => (await pool.query({ name, text, values })).rows;

export async function list(user, limit, cursor) {
  const rows = cursor
    ? await query(
        "after",
        `SELECT * FROM task WHERE user_id = $1 AND (created_at, id) < (SELECT created_at, id FROM task WHERE id = $3)
         ORDER BY created_at DESC, id DESC LIMIT $2`,
        [user, limit + 1, cursor],
      )
    : await query("list", "SELECT * FROM task WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2", [
        user,
        limit + 1,
      ]);
  const items = rows.slice(0, limit);
  return { items, next_cursor: rows.length > limit ? String(items.at(-1).id) : null };
}

export async function create(user, { title, description = null, completed = false }) {
  const [task] = await query(
    "create",
    "INSERT INTO task (user_id, title, description, completed) VALUES ($1, $2, $3, $4) RETURNING *",
    [user, title, description, completed],
  );
  return task;
}

export async function get(user, id) {
  const [task] = await query("get", "SELECT * FROM task WHERE id = $1 AND user_id = $2", [id, user]);
  return task;
}

export async function update(user, id, changes) {
  const names = Object.keys(changes);
  const columns = names.map((name, index) => `, ${name} = $${index + 3}`).join("");
  const [task] = await query(
    `update ${names}`,
    `UPDATE task SET updated_at = now()${columns} WHERE id = $1 AND user_id = $2 RETURNING *`,
    [id, user, ...Object.values(changes)],
  );
  return task;
}
