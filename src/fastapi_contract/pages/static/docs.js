// Shows the contract in Swagger UI, so that each operation can be tried as it is.
const element = document.getElementById("swagger-ui");
const { root } = element.dataset;
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

function prepare(contract) {
  // The contract's servers may be elsewhere, and the policy of the page forbids requests to other origins.
  contract.servers = [{ url: location.origin + root, description: "This service" }];
  const shared = contract.components?.parameters ?? {};
  const parameters = Object.values(shared);
  for (const item of Object.values(contract.paths ?? {})) {
    const operations = Object.values(item).filter((each) => each.responses);
    for (const operation of operations) moveUp(item.parameters ?? [], operation, shared);
    delete item.parameters;
    parameters.push(...operations.flatMap((each) => each.parameters));
  }
  for (const parameter of parameters) if (!parameter.required && !parameter.$ref) showExample(parameter);
}

// Swagger UI shows the parameters of a path, which are required, below those of its operation.
function moveUp(parameters, operation, shared) {
  const key = (each) => {
    const { in: place, name } = shared[each.$ref?.split("/").pop()] ?? each;
    return `${place} ${name}`;
  };
  const own = operation.parameters ?? [];
  const replaced = new Set(own.map(key));
  operation.parameters = [...parameters.filter((each) => !replaced.has(key(each))), ...own];
}

// Swagger UI fills in each example. Optional parameters, such as two ways to page, need not fit together: theirs are text.
function showExample(parameter) {
  const example = parameter.example ?? Object.values(parameter.examples ?? {})[0]?.value;
  delete parameter.example;
  delete parameter.examples;
  if (example !== undefined) {
    const text = typeof example === "string" ? example : JSON.stringify(example);
    parameter.description = `${parameter.description ?? ""}\n\nExample: \`${text}\``.trim();
  }
}

SwaggerUIBundle({
  domNode: element,
  url: `${root}/openapi.json`,
  responseInterceptor(response) {
    if (response.url.endsWith(`${root}/openapi.json`) && response.ok) {
      const contract = JSON.parse(response.text);
      prepare(contract);
      response.text = JSON.stringify(contract);
    }
    return response;
  },
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
