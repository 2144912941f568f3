// Types that the examples in docs/better-auth.md use, of packages that are not installed.
declare module "next/headers" {
  export function headers(): Promise<Headers>;
}

declare module "pg" {
  export const Pool: new (options: { connectionString: string | undefined }) => import("kysely").PostgresPool;
}
