// Chats with a gateway through Anthropic's client, whole and streamed, and prints both answers and an error as JSON.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const request = { model: "up/m", max_tokens: 10, messages: [{ role: "user", content: "Hi" }] };
const whole = await client.messages.create(request);
const streamed = await client.messages.stream(request).finalMessage();
const models = (await client.models.list()).data.map((model) => model.id);
const failure = await client.messages.create({ ...request, model: "nowhere/m" }).catch((error) => error.status);
console.log(JSON.stringify({ whole: whole.content[0].text, streamed: streamed.content[0].text, models, failure }));
