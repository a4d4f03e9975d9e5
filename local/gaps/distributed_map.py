"""Step Functions' Distributed Map: ItemReader, ItemSelector, ItemBatcher and ResultWriter, in JSONata and JSONPath.

Lacking in MiniStack: ItemBatcher, ResultWriter, every JSONata field, and an end of the run when the execution ends.
Here reader, selector and batcher are worked out first, then MiniStack runs one child per unit, and the results are
then written as AWS writes them (`manifest.json`, `SUCCEEDED_0.json`, `FAILED_0.json`). Failures that the state
tolerates are left out of the result."""

from __future__ import annotations

import copy
import json
from typing import Any

from ministack.services import stepfunctions as sfn

from local import seams
from local.gaps import stepfunctions

_NUMBERS = ("MaxConcurrency", "ToleratedFailurePercentage", "ToleratedFailureCount")


class _Fields:
    """Reads the fields of one Map state in its query language."""

    def __init__(self, state: dict[str, Any], raw: Any, effective: Any, context: dict[str, Any]) -> None:
        self.state, self.raw, self.effective, self.context = state, raw, effective, context
        self.jsonata = stepfunctions.is_jsonata(state, context)

    def value(self, template: Any, context: dict[str, Any] | None = None) -> Any:
        if self.jsonata:
            return stepfunctions.evaluate(template, self.raw, context or self.context)
        return sfn._resolve_params_obj(template, self.effective, context or self.context)

    def plain(self, holder: dict[str, Any], name: str) -> Any:
        """A single value: given, an expression, or (JSONPath) the path in `<name>Path`."""
        if name in holder:
            return self.value(holder[name]) if self.jsonata else holder[name]
        path = holder.get(f"{name}Path")
        return sfn._resolve_path_or_ctx(path, self.effective, self.context) if path else None


def install() -> None:
    seams.require(sfn, "_read_map_items", "_resolve_params_obj", "_map_runs", "_executions", "_apply_result_selector")
    seams.require(sfn, "_apply_result_path")

    @seams.replace(sfn, "_run_distributed_map")
    def run(
        original: Any,
        state: dict[str, Any],
        raw: Any,
        effective: Any,
        processor: Any,
        execution: Any,
        context: dict[str, Any],
    ) -> Any:
        fields = _Fields(state, raw, effective, context)
        units = _batched(fields, _selected(fields, _items(fields)))
        plain: dict[str, Any] = {name: state[name] for name in ("Label", "Next", "End") if name in state}
        plain |= {name: number for name in _NUMBERS if (number := fields.plain(state, name)) is not None}
        plain["ItemsPath"] = "$"
        before = set(sfn._map_runs)
        results, following = original(plain, units, units, processor, execution, context)
        stepfunctions.stop_if_over()
        mine = [sfn._map_runs.get(arn) for arn in sfn._map_runs if arn not in before]
        map_run = next(run for run in mine if run["executionArn"] == execution["executionArn"])
        children = [e for e in sfn._executions.values() if e.get("mapRunArn") == map_run["mapRunArn"]]
        if "ResultWriter" in state:
            results = _written(fields, state["ResultWriter"], map_run["mapRunArn"], children)
        elif map_run["itemCounts"]["failed"]:
            results = [result for result in results if result is not None]  # in the items' order, unlike the children
        return _output(fields, results), following

    @seams.replace(sfn, "_run_map_items")
    def map_items(original: Any, state: dict[str, Any], raw: Any, execution: Any, context: dict[str, Any]) -> Any:
        """A JSONata Map with an ItemReader has no Items; MiniStack would otherwise look for a list in the input."""
        if "ItemReader" in state and stepfunctions.is_jsonata(state, context) and "Items" not in state:
            processor = state.get("ItemProcessor", {})
            return sfn._run_distributed_map(state, raw, raw, processor, execution, context)
        return original(state, raw, execution, context)


def _items(fields: _Fields) -> list[Any]:
    state = fields.state
    if reader := copy.deepcopy(state.get("ItemReader")):
        reader["Parameters"] = fields.value(reader.pop("Arguments", None) or reader.get("Parameters") or {})
        if fields.jsonata and "ReaderConfig" in reader:
            reader["ReaderConfig"] = fields.value(reader["ReaderConfig"])
        try:
            items = sfn._read_map_items(reader, fields.effective, fields.context)
        except (ValueError, KeyError, UnicodeDecodeError) as broken:
            raise stepfunctions.failure("States.ItemReaderFailed", f"The dataset cannot be read: {broken}") from broken
    elif fields.jsonata and "Items" in state:
        items = fields.value(state["Items"])
    else:
        items = sfn._resolve_path_or_ctx(state.get("ItemsPath", "$"), fields.effective, fields.context)
    if isinstance(items, dict):
        return [{"Key": name, "Value": value} for name, value in items.items()]
    return items if isinstance(items, list) else [items]


def _selected(fields: _Fields, items: list[Any]) -> list[Any]:
    selector = fields.state.get("ItemSelector") or fields.state.get("Parameters")
    if not selector:
        return items
    return [
        fields.value(selector, {**fields.context, "Map": {"Item": {"Index": index, "Value": item}}})
        for index, item in enumerate(items)
    ]


def _batched(fields: _Fields, items: list[Any]) -> list[Any]:
    batcher = fields.state.get("ItemBatcher")
    if not batcher:
        return items
    most = int(fields.plain(batcher, "MaxItemsPerBatch") or len(items) or 1)
    largest = int(fields.plain(batcher, "MaxInputBytesPerBatch") or stepfunctions.MAX_STATE_BYTES)
    common = {"BatchInput": fields.value(batcher["BatchInput"])} if "BatchInput" in batcher else {}
    batches: list[dict[str, Any]] = []
    size = 0
    for item in items:
        length = len(json.dumps(item)) + 1
        if not batches or len(batches[-1]["Items"]) >= most or size + length > largest:
            batches.append({**common, "Items": []})
            size = len(json.dumps(common)) + 12
        batches[-1]["Items"].append(item)
        size += length
    return batches


def _written(fields: _Fields, writer: dict[str, Any], run_arn: str, children: list[dict[str, Any]]) -> Any:
    """Write result files and manifest; returns what the state then yields."""
    config = fields.value(writer.get("WriterConfig") or {})
    compact = config.get("Transformation", "NONE")
    if not writer.get("Resource"):
        return _transformed(compact, children)
    target = fields.value(writer.get("Arguments") or writer.get("Parameters") or {})
    folder = f"{target.get('Prefix', '').strip('/')}/{run_arn.rpartition(':')[2]}".lstrip("/")
    lines = config.get("OutputType") == "JSONL"
    files: dict[str, list[dict[str, Any]]] = {"SUCCEEDED": [], "FAILED": [], "PENDING": []}
    s3 = seams.client("s3")
    for status in ("SUCCEEDED", "FAILED"):
        mine = [child for child in children if child["status"] == status]
        if not mine:
            continue
        rows = (
            _transformed(compact, mine)
            if status == "SUCCEEDED" and compact != "NONE"
            else [_row(child) for child in mine]
        )
        data = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows)
        key = f"{folder}/{status}_0.{'jsonl' if lines else 'json'}"
        s3.put_object(Bucket=target["Bucket"], Key=key, Body=data.encode())
        files[status].append({"Key": key, "Size": len(data.encode())})
    manifest = {"DestinationBucket": target["Bucket"], "MapRunArn": run_arn, "ResultFiles": files}
    s3.put_object(Bucket=target["Bucket"], Key=f"{folder}/manifest.json", Body=json.dumps(manifest).encode())
    return {"MapRunArn": run_arn, "ResultWriterDetails": {"Bucket": target["Bucket"], "Key": f"{folder}/manifest.json"}}


def _transformed(how: str, children: list[dict[str, Any]]) -> list[Any]:
    if how == "NONE":
        return [_row(child) for child in children]
    outputs = [json.loads(child["output"]) for child in children if child["output"] is not None]
    if how == "FLATTEN":
        return [item for output in outputs for item in (output if isinstance(output, list) else [output])]
    return outputs


def _row(child: dict[str, Any]) -> dict[str, Any]:
    row = {
        "ExecutionArn": child["executionArn"],
        "Input": child["input"],
        "InputDetails": {"Included": True},
        "Name": child["name"],
        "Output": child["output"],
        "OutputDetails": {"Included": True},
        "StartDate": child["startDate"],
        "StateMachineArn": child["stateMachineArn"],
        "Status": child["status"],
        "StopDate": child["stopDate"],
    }
    if child["status"] == "FAILED":
        row |= {"Error": child.get("error"), "Cause": child.get("cause")}
    return {name: value for name, value in row.items() if value is not None}


def _output(fields: _Fields, results: Any) -> Any:
    if fields.jsonata:
        output = sfn._apply_jsonata_output(fields.state, fields.raw, fields.context, result=results, default=results)
        sfn._apply_state_assign(fields.state, fields.raw, fields.context, result=results)
        return output
    selected = sfn._apply_result_selector(fields.state, results)
    placed = sfn._apply_result_path(fields.state, fields.raw, selected)
    return sfn._apply_output_path(fields.state, placed, fields.context)
