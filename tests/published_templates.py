"""Chat templates like those that models are published with, and equivalent to them for texts."""

from __future__ import annotations

# Equivalent to the template of Gemma 3's instruction-tuned checkpoints, for texts.
GEMMA_3 = """\
{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- set prefix = messages[0]['content'] + '\\n\\n' -%}
    {%- set turns = messages[1:] -%}
{%- else -%}
    {%- set prefix = '' -%}
    {%- set turns = messages -%}
{%- endif -%}
{%- for message in turns -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {{ '<start_of_turn>' + role + '\\n' + (prefix if loop.first else '') }}
    {{- message['content'] | trim }}
    {{- '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ '<start_of_turn>model\\n' }}
{%- endif -%}
"""

# Built like that of Gemma 4's larger checkpoints (12B, 26B-A4B, 31B): a system turn of its own, a
# flag for thinking, and where that is off an empty thought, which the model goes on from.
GEMMA_4_LARGE = """\
{%- macro without_thoughts(text) -%}
    {%- for part in text.split('<|channel>thought') -%}
        {%- if loop.first -%}
            {{- part -}}
        {%- elif '<channel|>' in part -%}
            {{- part.split('<channel|>', 1)[1] -}}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro -%}
{{- bos_token -}}
{%- set has_system = messages[0].role in ('system', 'developer') -%}
{%- if has_system or tools or enable_thinking is defined and enable_thinking -%}
    {{- '<|turn>system\\n' -}}
    {%- if enable_thinking is defined and enable_thinking -%}{{- '<|think|>' -}}{%- endif -%}
    {%- if has_system -%}{{- messages[0].content | trim -}}{%- endif -%}
    {%- for tool in tools or [] -%}
        {{- '<|tool>' ~ tool.function | tojson ~ '<tool|>' -}}
    {%- endfor -%}
    {{- '<turn|>\\n' -}}
{%- endif -%}
{%- for message in (messages[1:] if has_system else messages) -%}
    {%- set role = 'model' if message.role == 'assistant' else message.role -%}
    {{- '<|turn>' ~ role ~ '\\n' -}}
    {{- without_thoughts(message.content) | trim if role == 'model' else message.content | trim -}}
    {{- '<turn|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|turn>model\\n' -}}
    {%- if not (enable_thinking is defined and enable_thinking) -%}
        {{- '<|channel>thought\\n<channel|>' -}}
    {%- endif -%}
{%- endif -%}
"""
EMPTY_THOUGHT = """\
    {%- if not (enable_thinking is defined and enable_thinking) -%}
        {{- '<|channel>thought\\n<channel|>' -}}
    {%- endif -%}
"""
assert EMPTY_THOUGHT in GEMMA_4_LARGE

# E2B's and E4B's: the same without the empty thought.
GEMMA_4_SMALL = GEMMA_4_LARGE.replace(EMPTY_THOUGHT, "")

# What those with tools do to their descriptions: sorted, in Gemma's own notation instead of JSON.
GEMMA_4_TOOLS = """\
{%- macro written(value, quoted=True) -%}
    {%- if value is string -%}
        {{- '<|"|>' + value + '<|"|>' if quoted else value -}}
    {%- elif value is boolean -%}
        {{- 'true' if value else 'false' -}}
    {%- elif value is mapping -%}
        {{- '{' -}}
        {%- for key, inner in value | dictsort -%}
            {{- key -}}:{{- written(inner, quoted=quoted) -}}
            {{- ',' if not loop.last -}}
        {%- endfor -%}
        {{- '}' -}}
    {%- elif value is sequence -%}
        {{- '[' -}}
        {%- for inner in value -%}
            {{- written(inner) -}}{%- if not loop.last %},{% endif -%}
        {%- endfor -%}
        {{- ']' -}}
    {%- else -%}
        {{- value -}}
    {%- endif -%}
{%- endmacro -%}
{%- macro properties_of(properties, required) -%}
    {%- set ns = namespace(is_first=true) -%}
    {%- for key, value in properties | dictsort -%}
        {%- set has_more = false -%}
        {%- if key not in ['type', 'required'] -%}
            {%- if not ns.is_first %},{% endif -%}
            {%- set ns.is_first = false -%}
            {{ key }}:{
            {%- if value['description'] -%}
                description:{{ written(value['description']) }}
                {%- set has_more = true -%}
            {%- endif -%}
            {%- if value['nullable'] %}
                {%- if has_more %},{%- else -%} {%- set has_more = true -%} {% endif -%}
                nullable:true
            {%- endif -%}
            {%- if value['items'] is mapping and value['items'] -%}
                ,items:{{ written(value['items']['type'] | map('upper') | list) }}
            {%- elif value['properties'] is defined and value['properties'] is mapping -%}
                {%- set inner = value['properties'] -%}
                ,properties:{ {{- properties_of(inner, value['required'] | default([])) -}} }
            {%- endif -%}
            {%- if has_more %},{% endif -%}
            {%- set type = value['type'] if value['type'] is string else value['type'][0] -%}
            type:{{ written(type | upper) }}
            {{- ',required' if key in required }}}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro -%}
{{ bos_token }}
{%- for tool in tools or [] %}
    {{- '<|tool>' -}}
    {%- set function = tool['function'] -%}
    declaration:{{- function['name'] -}}{
    {%- set parameters = function['parameters'] -%}
    {{- properties_of(parameters['properties'], parameters['required']) | trim -}}
    {{- '}<tool|>' -}}
{%- endfor %}
{#- Messages -#}
{%- for message in messages -%}
    {{- '<|turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' }}
    {%- for call in message['tool_calls'] or [] -%}
        {{- '<|tool_call>call:' + call['function']['name'] + '{' -}}
        {%- if call['function']['arguments'] is mapping -%}
            {%- for key, value in call['function']['arguments'] | dictsort -%}
                {{- key -}}:{{- written(value, quoted=False) -}}
                {%- if not loop.last %},{% endif -%}
            {%- endfor -%}
        {%- else -%}
            {{- call['function']['arguments'] -}}
        {%- endif -%}
        {{- '}<tool_call|>' -}}
    {%- endfor -%}
    {{- message['content'] | trim -}}
    {{- '<turn|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|turn>model\\n' -}}
    {%- if not enable_thinking | default(false) -%}
        {{- '<|channel>thought\\n<channel|>' -}}
    {%- endif -%}
{%- endif -%}
"""
