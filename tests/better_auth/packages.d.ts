// Types that README.md's examples use, of packages that are not installed.
declare module "next/headers" {
  export function headers(): Promise<Headers>;
}

declare module "pg" {
  export const Pool: new (options: { connectionString: string | undefined }) => import("kysely").PostgresPool;
}
