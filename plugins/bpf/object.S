/* The compiled BPF programs, as they are. */
	.section .rodata
	.globl steer_object, steer_object_end, redirect_object, redirect_object_end
	.hidden steer_object, steer_object_end, redirect_object, redirect_object_end
	.balign 8
steer_object:
	.incbin STEER_OBJECT
steer_object_end:
	.balign 8
redirect_object:
	.incbin REDIRECT_OBJECT
redirect_object_end:
	.section .note.GNU-stack, "", @progbits
