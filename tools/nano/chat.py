"""The chat formats of the members: as segments for training, and as the published templates for the files."""

#: Text of `chat_template` as published with each member.
TEMPLATES = {
    'phi-3-mini': (
        "{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\n' + message['content'] + "
        "'<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}"
        "{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"),
    'phi-3.5-mini': (
        "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\n' + "
        "message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + "
        "'<|end|>\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}"
        "{% endif %}"),
    'phi-3-medium': (
        "{% for message in messages %}{% if (message['role'] == 'user') %}{{'<|user|>' + '\n' + message['content'] + "
        "'<|end|>' + '\n' + '<|assistant|>' + '\n'}}{% elif (message['role'] == 'assistant') %}{{message['content'] + "
        "'<|end|>' + '\n'}}{% endif %}{% endfor %}"),
    'phi-3-small': (
        "{{ bos_token }}{% for message in messages %}{{'<|' + message['role'] + '|>' + '\n' + message['content'] + "
        "'<|end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}"
        "{% endif %}"),
    'phi-3-vision': (
        "{% for message in messages %}{{'<|' + message['role'] + '|>' + '\n' + message['content'] + '<|end|>\n' }}"
        "{% endfor %}{% if add_generation_prompt and messages[-1]['role'] != 'assistant' %}{{- '<|assistant|>\n' -}}"
        "{% endif %}"),
}


def chat_segments(messages, template):
    """The text of a conversation, cut into `(text, weight)`: answers and what ends them count, the rest does not.

    The pieces joined are what the published template renders without a generation prompt.
    """
    segments = [('<|endoftext|>', 0.0)] if template == 'phi-3-small' else []
    for role, text in messages:
        if role == 'system' and template == 'phi-3-medium':
            continue  # the published template drops system messages
        if role == 'assistant':
            segments += [('<|assistant|>\n', 0.0), (f'{text}<|end|>', 1.0), ('\n', 0.0)]
        else:
            segments += [(f'<|{role}|>\n{text}<|end|>\n', 0.0)]
    if template != 'phi-3-medium' and template != 'phi-3-vision':
        segments += [('<|endoftext|>', 1.0)]
    return segments


def chat_prompt(messages, template):
    """The text of a conversation that ends with the opening of the answer."""
    text = ''.join(segment for segment, _ in chat_segments(messages, template))
    return text.removesuffix('<|endoftext|>') + '<|assistant|>\n'
