// What the recipes use of packages that are not installed here.
declare module "next/headers" {
  export function headers(): Promise<Headers>;
}

declare module "pg" {
  export const Pool: new (options: { connectionString: string | undefined }) => import("kysely").PostgresPool;
}
