# Records made, printed, parsed, grouped and folded. $scale is percent of a full run.
[range($scale * 200) | {id: ., name: "record \(. * 31 % 9973)", tags: [range(. % 5) | tostring], kind: (. % 37)}]
| tojson | fromjson
| map(.tags |= map("t" + .) | .size = (.name | length))
| group_by(.kind)
| map({kind: .[0].kind, count: length, names: (map(.name) | unique | length), tags: (map(.tags[]) | unique)})
| (map(.count) | add), .[3], length
