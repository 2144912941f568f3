// app/api/token/route.ts
import { SignJWT } from "jose";
import { headers } from "next/headers";
import { auth } from "@/lib/auth";

const secret = new TextEncoder().encode(process.env.TODO_API_SECRET);
const origin = new URL(process.env.BETTER_AUTH_URL!).origin;

export async function GET() {
  const session = await auth.api.getSession({ headers: await headers() });
  if (!session) return new Response(null, { status: 401 });
  const token = await new SignJWT({})
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(session.user.id)
    .setIssuer(origin)
    .setAudience(origin)
    .setIssuedAt()
    .setExpirationTime("15m")
    .sign(secret);
  return Response.json({ token }, { headers: { "Cache-Control": "no-store" } });
}
