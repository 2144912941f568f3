// What the recipes use of Next.js.
declare module "next/headers" {
  export function headers(): Promise<Headers>;
}
