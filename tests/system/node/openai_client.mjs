// Chats with a gateway through OpenAI's client, whole and streamed, and prints both answers and an error as JSON.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none", maxRetries: 0 });
const messages = [{ role: "user", content: "Hi" }];
const whole = await client.chat.completions.create({ model: "up/m", messages });
let streamed = "";
for await (const chunk of await client.chat.completions.create({ model: "up/m", messages, stream: true })) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
}
const models = (await client.models.list()).data.map((model) => model.id);
const failure = await client.chat.completions.create({ model: "nowhere/m", messages }).catch((error) => error.status);
console.log(JSON.stringify({ whole: whole.choices[0].message.content, streamed, models, failure }));
