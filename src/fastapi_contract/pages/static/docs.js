// Shows the contract in Swagger UI, with requests that go to the service that served the page.
const element = document.getElementById("swagger-ui");
const { root } = element.dataset;
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

// The contract's servers are elsewhere, and the policy of the page forbids requests to other origins.
function useThisServer(response) {
  if (response.url.endsWith(`${root}/openapi.json`) && response.ok) {
    const contract = JSON.parse(response.text);
    contract.servers = [{ url: location.origin + root, description: "This service" }];
    response.text = JSON.stringify(contract);
  }
  return response;
}

SwaggerUIBundle({
  domNode: element,
  url: `${root}/openapi.json`,
  responseInterceptor: useThisServer,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  filter: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  // The default asks a server of Swagger's to validate the contract.
  validatorUrl: null,
});
