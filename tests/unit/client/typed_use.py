"""What users of the typed client write; checked by mypy in test_client_contract.py, never run."""

from __future__ import annotations

from promptlane.client import Answer, AsyncPromptClient, Decision, PromptClient, StreamedAnswer


def sync(client: PromptClient) -> str:
    decision: Decision = client.route("greeter", "u")
    number: int = decision.version
    answer: Answer = client.converse("greeter", unit="u", variables={"name": "Anna"})
    stream: StreamedAnswer = client.converse_stream("greeter", unit="u")
    pieces: list[str] = list(stream)
    counted: bool = client.feedback(answer.receipt or "", positive=True)
    request = decision.request({"name": "Anna"})
    return f"{number}{answer.text}{pieces}{counted}{request['modelId']}"


async def asynchronous(client: AsyncPromptClient) -> list[str]:
    decision: Decision = await client.route("greeter", "u")
    answer: Answer = await client.converse(decision.prompt, unit="u")
    async with client.converse_stream("greeter", unit="u", variables={"name": "Anna"}) as stream:
        events = [str(event) async for event in stream.events()]
    text: str = stream.answer.text
    opened = await client.converse_stream("greeter", unit="u")
    return [answer.text, text, *events, *[piece async for piece in opened]]
